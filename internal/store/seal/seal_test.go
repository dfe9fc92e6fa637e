package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"
	"go.uber.org/goleak"

	"example.com/tokend/internal/store/seal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newKeys(t testing.TB) *seal.Keyset {
	t.Helper()
	k, err := seal.New()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keysText(t testing.TB, k *seal.Keyset) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := k.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func parse(t testing.TB, text string) *seal.Keyset {
	t.Helper()
	k, err := seal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestParse(t *testing.T) {
	k := newKeys(t)
	text := keysText(t, k)
	sealed, err := k.Seal([]byte("plain"), "a")
	if err != nil {
		t.Fatal(err)
	}
	wrapped := base64.StdEncoding.EncodeToString([]byte(text))
	for name, form := range map[string]string{
		"JSON":             text,
		"JSON with spaces": " \n" + text + "\n",
		"base64":           wrapped,
		"base64 in lines":  wrapped[:60] + "\n" + wrapped[60:] + "\n",
		"base64 for URLs":  base64.RawURLEncoding.EncodeToString([]byte(text)),
	} {
		if plain, err := parse(t, form).Open(sealed, "a"); err != nil || string(plain) != "plain" {
			t.Errorf("%s: Open = %q, %v", name, plain, err)
		}
	}
}

func TestParse_Errors(t *testing.T) {
	good := keysText(t, newKeys(t))
	value := good[strings.Index(good, `"value":"`)+len(`"value":"`):]
	value = value[:strings.IndexByte(value, '"')]
	h, err := keyset.NewHandle(mac.HMACSHA256Tag128KeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	var other bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&other)); err != nil {
		t.Fatal(err)
	}
	const empty, neither, noKeyset, noKey = "is empty", "neither Tink JSON nor base64", "not a cleartext Tink keyset in JSON", "no AEAD key that is enabled and primary"
	for name, c := range map[string]struct{ text, want string }{
		"empty":            {"", empty},
		"blank":            {" \n", empty},
		"word":             {"hello", neither},
		"no keyset":        {"{}", noKeyset},
		"null bytes":       {"\x00\x00", neither},
		"not base64":       {"ab!" + value, neither},
		"base64 of a word": {base64.StdEncoding.EncodeToString([]byte("hello")), noKeyset},
		"cut":              {good[:len(good)/2], noKeyset},
		"no primary":       {strings.Replace(good, "primaryKeyId", "secondaryKeyId", 1), noKeyset},
		"broken value":     {strings.Replace(good, value, value[:9]+"-"+value, 1), noKeyset},
		"disabled":         {strings.Replace(good, "ENABLED", "DISABLED", 1), noKeyset},
		"a MAC key":        {other.String(), noKey},
	} {
		k, err := seal.Parse(c.text)
		if err == nil {
			t.Errorf("%s: Parse = %v, want an error", name, k)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Parse = %v, want %q", name, err, c.want)
		}
		if strings.Contains(err.Error(), value[:9]) || strings.Contains(err.Error(), "hello") {
			t.Errorf("%s: the error repeats what was parsed: %v", name, err)
		}
	}
}

func TestOpen_OnlyInPlace(t *testing.T) {
	k := newKeys(t)
	place := []string{"grants", "a", "1"}
	sealed, err := k.Seal([]byte("plain"), place...)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := k.Open(sealed, place...); err != nil || string(plain) != "plain" {
		t.Fatalf("Open = %q, %v", plain, err)
	}
	for _, other := range [][]string{
		nil,
		{"grants"},
		{"grants", "a"},
		{"grants", "a", "2"},
		{"grants", "a", "1", ""},
		{"grants", "", "a1"},
		{"grantsa1"},
		{"grants", "a1"},
		{"grantsa", "", "1"},
		{"grants", "1", "a"},
	} {
		if _, err := k.Open(sealed, other...); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("Open in %q = %v, want ErrOpen", other, err)
		}
	}
	if _, err := newKeys(t).Open(sealed, place...); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("Open with another key = %v, want ErrOpen", err)
	}
	for i := range sealed {
		bad := slices.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.Open(bad, place...); !errors.Is(err, seal.ErrOpen) {
			t.Fatalf("Open with byte %d changed = %v, want ErrOpen", i, err)
		}
		if _, err := k.Open(sealed[:i], place...); !errors.Is(err, seal.ErrOpen) {
			t.Fatalf("Open of %d bytes = %v, want ErrOpen", i, err)
		}
	}
}

// TestKeyRotation replaces the primary key: old values still open, new ones use
// the new key.
func TestKeyRotation(t *testing.T) {
	old := newKeys(t)
	before, err := old.Seal([]byte("plain"), "a")
	if err != nil {
		t.Fatal(err)
	}
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(strings.NewReader(keysText(t, old))))
	if err != nil {
		t.Fatal(err)
	}
	m := keyset.NewManagerFromHandle(h)
	id, err := m.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SetPrimary(id); err != nil {
		t.Fatal(err)
	}
	if h, err = m.Handle(); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&b)); err != nil {
		t.Fatal(err)
	}
	both := parse(t, b.String())
	if plain, err := both.Open(before, "a"); err != nil || string(plain) != "plain" {
		t.Errorf("Open of a value of the old key = %q, %v", plain, err)
	}
	after, err := both.Seal([]byte("plain"), "a")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(before[:5], after[:5]) {
		t.Error("after the rotation the old key is still used")
	}
	if _, err := old.Open(after, "a"); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("the old key opens what the new one sealed: %v", err)
	}
}

func TestKeyset_IsMasked(t *testing.T) {
	k := newKeys(t)
	text := keysText(t, k)
	value := text[strings.Index(text, `"value":"`)+len(`"value":"`):][:20]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, k); got != "seal.Keyset(1 keys)" || strings.Contains(got, value) {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	text := keysText(f, newKeys(f))
	f.Add(text)
	f.Add(base64.StdEncoding.EncodeToString([]byte(text)))
	f.Add("{}")
	f.Add(`{"primaryKeyId":1,"key":[{"keyData":{},"keyId":1,"status":"ENABLED"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		k, err := seal.Parse(text)
		if err != nil {
			return
		}
		sealed, err := k.Seal([]byte("plain"))
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := k.Open(sealed); err != nil || string(plain) != "plain" {
			t.Fatalf("Open = %q, %v", plain, err)
		}
	})
}
