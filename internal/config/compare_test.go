package config

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"testing"
	"time"

	"example.com/tokend/internal/tokenfile"
	"example.com/tokend/pkg/flow"
)

// TestF35_Same changes each field of a client's settings by reflection, on its
// own: a field that the comparison forgets fails here, and so does a type that
// the test cannot make a second value of.
func TestF35_Same(t *testing.T) {
	for name, s := range map[string]Client{
		"zero":     {},
		"code":     {Config: flow.Config{Source: flow.AuthorizationCode{}}},
		"seed":     {Config: flow.Config{Source: flow.Seed{}}},
		"password": {Config: flow.Config{Source: flow.Password{}}},
		"exchange": {Config: flow.Config{Source: flow.Exchange{}}},
		"file":     {Files: []tokenfile.Config{{}}},
	} {
		t.Run(name, func(t *testing.T) {
			if !s.Same(s) {
				t.Fatal("not the same as itself")
			}
			differs(t, name, &s, reflect.ValueOf(&s).Elem(), s)
		})
	}
}

// differs changes v, a part of *s, and expects s to differ from was.
func differs(t *testing.T, place string, s *Client, v reflect.Value, was Client) {
	v = reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem() // unexported fields, too
	switch {
	case place[len(place)-1] != ']' && v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Name != "from" { // of the functions: see TestF35_Same_Functions
				differs(t, place+"."+f.Name, s, v.Field(i), was)
			}
		}
		return
	case v.Type() == reflect.TypeFor[[]tokenfile.Config]() && v.Len() == 1:
		defer func(old []tokenfile.Config) { s.Files = old }(s.Files)
		s.Files = []tokenfile.Config{s.Files[0]}
		differs(t, place+".0", s, reflect.ValueOf(&s.Files[0]).Elem(), was)
	case v.Type() == reflect.TypeFor[flow.Source]() && !v.IsNil():
		source := reflect.New(v.Elem().Type()).Elem()
		for i := range source.NumField() {
			source.SetZero()
			source.Field(i).Set(second(t, place, source.Field(i).Type()))
			v.Set(source)
			if s.Same(was) || was.Same(*s) {
				t.Errorf("%s.%s is not compared", place, source.Type().Field(i).Name)
			}
		}
		v.Set(reflect.ValueOf(was.Source))
	}
	old := reflect.New(v.Type()).Elem()
	old.Set(v)
	v.Set(second(t, place, v.Type()))
	if s.Same(was) || was.Same(*s) {
		t.Errorf("%s is not compared", place)
	}
	v.Set(old)
	if !s.Same(was) {
		t.Fatalf("%s: the test did not put it back", place)
	}
}

// second returns a value of a type other than the zero value.
func second(t *testing.T, place string, typ reflect.Type) reflect.Value {
	t.Helper()
	v := reflect.New(typ).Elem()
	for _, known := range []any{
		&url.URL{Host: "other"},
		[]*url.URL{{Host: "other"}},
		url.Values{"other": {"1"}},
		[]tokenfile.Config{{Path: "/other"}},
		slog.Default(), http.DefaultClient, &flow.Provider{}, otherKey(t),
		func(context.Context) (flow.Secret, error) { return "", nil }, time.Now, func(flow.Status) {}, func(flow.Event) {}, func(flow.Refresh) {}, func(*flow.Token) {},
		func(ctx context.Context, _ flow.Operation) (context.Context, func(flow.Class)) {
			return ctx, func(flow.Class) {}
		},
	} {
		if reflect.TypeOf(known).AssignableTo(typ) {
			v.Set(reflect.ValueOf(known))
			return v
		}
	}
	switch typ {
	case reflect.TypeFor[flow.Source]():
		v.Set(reflect.ValueOf(flow.Source(flow.Device{})))
		return v
	case reflect.TypeFor[flow.Store]():
		v.Set(reflect.ValueOf(flow.NewMemoryStore()))
		return v
	case reflect.TypeFor[io.Reader](), reflect.TypeFor[io.Writer]():
		v.Set(reflect.ValueOf(os.Stdin))
		return v
	}
	switch typ.Kind() {
	case reflect.String:
		v.SetString("other")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint32:
		v.SetUint(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(typ, 1, 1))
	default:
		t.Fatalf("%s: the test knows no second value of %v", place, typ)
	}
	return v
}

func otherKey(t *testing.T) *flow.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	k, err := flow.ParsePrivateKey(flow.Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})), "", "")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Functions are compared by the client's settings that they are made of.
func TestF35_Same_Functions(t *testing.T) {
	from := func(context.Context) (flow.Secret, error) { return "", nil }
	exchange := flow.Exchange{SubjectToken: from}
	for name, other := range map[string]sources{
		"the file of the secret": {secretFile: "/other"}, "the file of the assertion": {assertionFile: "/other"},
		"the source of the subject token": {subjectToken: "other"}, "its audience": {subjectAudience: "other"},
	} {
		for field, with := range map[string]flow.Config{"secret": {ClientSecretFrom: from}, "assertion": {AssertionFrom: from}, "subject token": {Source: exchange}} {
			a, b := Client{Config: with}, Client{Config: with, from: other}
			if !a.Same(a) || a.Same(b) {
				t.Errorf("%s function, %s: the same: %v; another: %v", field, name, a.Same(a), a.Same(b))
			}
		}
		if !(Client{}).Same(Client{from: other}) {
			t.Errorf("%s without a function is a change", name)
		}
	}
}

func TestF35_Same_PrivateKeys(t *testing.T) {
	a, b := Client{}, Client{}
	a.PrivateKey, b.PrivateKey = otherKey(t), otherKey(t)
	if !a.Same(a) || a.Same(b) {
		t.Errorf("the same key: %v; another key: %v", a.Same(a), a.Same(b))
	}
}
