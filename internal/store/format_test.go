package store_test

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"example.com/tokend/internal/store"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

var update = flag.Bool("update", false, "write testdata anew: only before a format was released")

// formatKeys are those of testdata alone.
const formatKeys = "testdata/v1/keyset.json"

// TestFormatV1 reads what this version's first format wrote: keyset, database
// and spill. Later versions must go on doing so.
func TestFormatV1(t *testing.T) {
	if *update {
		writeV1(t)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/v1")); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600) // git keeps no such mode
	})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := store.LoadOrCreateKeyset(dir+"/keyset.json", "sqlite:"+dir+"/tokend.db")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, "sqlite:"+dir+"/tokend.db", keys)
	for key, generation := range map[string]int64{"saved": 7, "spilled": 8} {
		want := storetest.Grant()
		want.Generation = generation
		got, err := s.Load(t.Context(), key)
		if err != nil {
			t.Fatalf("Load(%q) = %v", key, err)
		}
		want.Revision = got.Revision
		if !reflect.DeepEqual(oldFields(got), oldFields(want)) {
			t.Errorf("Load(%q) = %v, want %v", key, got, want)
		}
	}
}

// oldFields leaves of a grant what the first format had, whatever was added.
func oldFields(g *flow.Grant) []any {
	fields := []any{
		g.Issuer, g.ClientID, g.Subject, g.Generation, g.State, g.RefreshToken.Reveal(), g.IDToken.Reveal(),
		g.Scopes, g.Rotation, g.LoggedIn, g.Exchanged, g.AuthTime, g.Intent,
	}
	if f := g.Failure; f != nil {
		fields = append(fields, f.Time, f.Class, f.Code, f.Description)
	}
	for _, t := range g.Tokens {
		fields = append(fields, t.AccessToken.Reveal(), t.TokenType, t.Scope, t.Audience, t.IDToken.Reveal(), t.Obtained, t.Expiry, t.Generation)
	}
	return fields
}

func writeV1(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll("testdata/v1"); err != nil {
		t.Fatal(err)
	}
	keys, err := store.LoadOrCreateKeyset(formatKeys, "sqlite:testdata/v1/tokend.db")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, "sqlite:testdata/v1/tokend.db", keys)
	for _, key := range []string{"saved", "spilled"} {
		g := storetest.Grant()
		if err := s.Save(t.Context(), lock(t, s, key), g); err != nil {
			t.Fatal(err)
		}
		if key == "spilled" {
			g.Generation++
			if err := s.Spill(t.Context(), key, g); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// FuzzSpill gives Load whatever bytes as the spill: it is the saved grant that
// comes, unless they are the ones that Spill wrote.
func FuzzSpill(f *testing.F) {
	p := newSpilling(f)
	p.aside(f, next(p.saved))
	name := p.files(f)[0]
	whole, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"key":"a","revision":1,"generation":9,"sealed":""}`))
	f.Add([]byte(strings.Replace(string(whole), `"generation":8`, `"generation":9`, 1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		g, err := p.Load(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case g.Generation == p.saved.Generation && g.RefreshToken == p.saved.RefreshToken:
		case g.Generation == p.saved.Generation+1 && g.RefreshToken == "canary-successor":
		default:
			t.Fatalf("Load = %v", g)
		}
	})
}
