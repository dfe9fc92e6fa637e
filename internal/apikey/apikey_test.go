package apikey

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tokend/internal/hint"
)

func newKey(t *testing.T, name string) (string, Key) {
	t.Helper()
	key, hash, err := New(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key, Key{Name: name, Hash: hash, Clients: []string{"demo"}, Access: Read, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func TestAdd_KeepsTheHashOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "api-keys.json")
	if keys, err := Load(path); keys != nil || err != nil {
		t.Fatalf("of no file: %v, %v", keys, err)
	}
	secret, k := newKey(t, "ci")
	k.Audiences, k.Rate, k.Expires = []string{"https://api.example.com/"}, 10, k.Created.Add(time.Hour)
	if err := Add(path, k); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || bytes.Contains(b, []byte(secret)) || bytes.Contains(b, []byte(strings.TrimPrefix(secret, prefix))) || len(secret) < 50 {
		t.Errorf("%s, %v", b, err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi, err)
	}
	keys, err := Load(path)
	if err != nil || len(keys) != 1 || fmt.Sprintf("%+v", keys[0]) != fmt.Sprintf("%+v", k) || keys[0].Hash != sha256.Sum256([]byte(secret)) {
		t.Errorf("%+v, %v", keys, err)
	}
	if err := Add(path, k); !errors.Is(err, ErrExists) {
		t.Errorf("twice: %v", err)
	}
	var unknown *UnknownError
	if err := Revoke(path, "ci", "other"); !errors.As(err, &unknown) || unknown.Name != "other" {
		t.Errorf("unknown: %v", err)
	}
	if keys, err := Load(path); len(keys) != 1 || err != nil {
		t.Errorf("one of two is unknown: %v, %v", keys, err)
	}
	if err := Revoke(path, "ci"); err != nil {
		t.Error(err)
	}
	if keys, err := Load(path); len(keys) != 0 || err != nil {
		t.Errorf("revoked: %v, %v", keys, err)
	}
}

func TestAdd_ReplacesAnExpiredKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api-keys.json")
	_, former := newKey(t, "ci")
	former.Expires = former.Created.Add(time.Hour)
	_, other := newKey(t, "other")
	for _, k := range []Key{former, other} {
		if err := Add(path, k); err != nil {
			t.Fatal(err)
		}
	}
	_, k := newKey(t, "ci")
	k.Created = former.Expires.Add(-time.Second)
	if err := Add(path, k); !errors.Is(err, ErrExists) {
		t.Errorf("a second before it expires: %v", err)
	}
	k.Created = former.Expires
	if err := Add(path, k); err != nil {
		t.Error(err)
	}
	if keys, err := Load(path); err != nil || len(keys) != 2 || keys[0].Hash != k.Hash || keys[1].Hash != other.Hash {
		t.Errorf("%+v, %v", keys, err)
	}
	k.Name, k.Created = "other", k.Created.AddDate(100, 0, 0)
	if err := Add(path, k); !errors.Is(err, ErrExists) {
		t.Errorf("a key that never expires: %v", err)
	}
}

func TestIsKey(t *testing.T) {
	secret, _ := newKey(t, "ci")
	for text, want := range map[string]bool{secret: true, secret + "A": false, secret[1:]: false, prefix: false, "": false, "tokend_notes": false} {
		if IsKey(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

func TestAdd_AtTheSameTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api-keys.json")
	var all sync.WaitGroup
	const n = 20
	for i := range n {
		_, k := newKey(t, fmt.Sprint("k", i))
		all.Go(func() {
			if err := Add(path, k); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if keys, err := Load(path); len(keys) != n || err != nil {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

func TestAdd_RefusesKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api-keys.json")
	for want, change := range map[string]func(*Key){
		`the name "A b" is not allowed`:       func(k *Key) { k.Name = "A b" },
		`the name "main" is reserved`:         func(k *Key) { k.Name = "main" },
		`key "ci" has no sha256`:              func(k *Key) { k.Hash = Hash{} },
		`key "ci" has no clients`:             func(k *Key) { k.Clients = nil },
		`key "ci": access "all" is not read`:  func(k *Key) { k.Access = "all" },
		`key "ci": rate_limit -1 is negative`: func(k *Key) { k.Rate = -1 },
	} {
		_, k := newKey(t, "ci")
		change(&k)
		if err := Add(path, k); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestLoad_Refuses(t *testing.T) {
	const (
		hash  = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
		other = "ypeBEsobvcr6wjGzmiPcTaeG7_gUfE5yuYB3ha_uSLs"
	)
	key := func(name, hash string) string {
		return fmt.Sprintf(`{"name":%q,"sha256":%q,"clients":["demo"],"access":"read","created":"2026-01-02T03:04:05Z"}`, name, hash)
	}
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{
		"no JSON":        {"{", 0o600, "unexpected EOF"},
		"version":        {`{"version":2,"keys":[]}`, 0o600, "its version is 2, not 1"},
		"unknown member": {`{"version":1,"keys":[],"admin":true}`, 0o600, `unknown field "admin"`},
		"short hash":     {`{"version":1,"keys":[` + key("a", "47DEQ") + `]}`, 0o600, "not a SHA-256 in base64url"},
		"same name":      {`{"version":1,"keys":[` + key("a", hash) + "," + key("a", other) + `]}`, 0o600, `duplicate key "a"`},
		"same value":     {`{"version":1,"keys":[` + key("a", hash) + "," + key("b", hash) + `]}`, 0o600, `keys "a" and "b" are the same`},
		"bad key":        {`{"version":1,"keys":[` + key("A", hash) + `]}`, 0o600, `key 1: the name "A" is not allowed`},
		"for everyone":   {`{"version":1,"keys":[]}`, 0o644, "is open to everyone (mode 0644)"},
		"for its group":  {`{"version":1,"keys":[]}`, 0o640, "is open to its group (mode 0640)"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "api-keys.json")
			if err := errors.Join(os.WriteFile(path, []byte(c.content), 0o600), os.Chmod(path, c.mode)); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || hint.Of(err) == "" || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v; hint: %s", err, hint.Of(err))
			}
			_, k := newKey(t, "new")
			if Add(path, k) == nil {
				t.Error("the file was replaced")
			}
		})
	}
}

func TestNew_NoRandomness(t *testing.T) {
	if _, _, err := New(bytes.NewReader(make([]byte, 31))); err == nil {
		t.Error("a short key")
	}
}
