package storeurl_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tokend/internal/storeurl"
)

func TestParse(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, c := range []struct{ raw, scheme, file string }{
		{"sqlite:/a/b.db", storeurl.SQLite, "/a/b.db"},
		{"sqlite:///a/b.db", storeurl.SQLite, "/a/b.db"},
		{"sqlite:b?mode=memory#%41.db", storeurl.SQLite, filepath.Join(dir, "b?mode=memory#%41.db")},
		{"sqlite::memory:", storeurl.SQLite, ""},
		{"postgres://u@h1:5432,h2:5433/db?sslmode=verify-full", storeurl.Postgres, ""},
		{"postgres://u@h1:5432,h2,[::1]:5432/db", storeurl.Postgres, ""},
		{"postgresql:///db?host=/run/postgresql", storeurl.Postgres, ""},
	} {
		u, err := storeurl.Parse(c.raw)
		if err != nil || u.Scheme != c.scheme || u.File() != c.file || u.DSN() != c.raw || u.String() != c.raw || u.HasPassword() {
			t.Errorf("%s: %+v, %v", c.raw, u, err)
		}
	}
}

func TestParse_Rejected(t *testing.T) {
	for raw, want := range map[string]string{
		"": "is not a URL", "tokend.db": "is not a URL", "SQLITE:a.db": "is not supported", "redis:x": `scheme "redis" is not supported`,
		"sqlite:": "names no file", "sqlite:dir/": "names no file", "sqlite://host/a.db": `names a host, "host"`, "sqlite:x\x00": "NUL byte",
		"postgres:db": "no //", "postgres:/db": "no //", "postgres://h/db?a;b": "parameters",
		"postgres://u:canary%zz@h/db": "must be escaped", "postgres://u:canary/1@h/db": "must be escaped", "postgres://u:can@ary@h/db": "must be escaped",
		"postgres://u:canary?1@h/db": "must be escaped", "host=h password=canary": "the value is not a URL",
		"sqlite://u:canary@host/a.db": `names a host, "host"`, "sqlite:postgres://u:canary@h/db": "is another URL",
	} {
		_, err := storeurl.Parse(raw)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", raw, err, want)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("the password is in %v", err)
		}
	}
}

func TestParse_RelativePathInDeletedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if u, err := storeurl.Parse("sqlite:grants.db"); err == nil || !strings.Contains(err.Error(), `sqlite path "grants.db"`) {
		t.Errorf("%v, %v", u, err)
	}
}

func TestString_MasksPassword(t *testing.T) {
	for _, raw := range []string{
		"postgres://u:canary@h1,h2/db", "postgres://u@h/db?password=canary&sslmode=disable",
		"postgres://u@h/db?sslpassword=canary", "postgres://u@h/db?passwd=canary", "postgres://u@h/db?PGPASSWORD=canary",
	} {
		u, err := storeurl.Parse(raw)
		if err != nil || !u.HasPassword() || strings.Contains(u.String(), "canary") || !strings.Contains(u.String(), "xxxxx") {
			t.Errorf("%s: %s, %v", raw, u, err)
		}
	}
}

func TestParam(t *testing.T) {
	u, err := storeurl.Parse("postgres://u:p%40@h1:1,h2/db?listen=h3%3A2&sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	listen, rest := u.Param("listen")
	if want := "postgres://u:p%40@h1:1,h2/db?sslmode=disable"; listen != "h3:2" || rest.DSN() != want {
		t.Errorf("%q, %s", listen, rest.DSN())
	}
	if got := rest.AtHost(listen).DSN(); got != "postgres://u:p%40@h3:2/db?sslmode=disable" {
		t.Error(got)
	}
	if none, same := rest.Param("listen"); none != "" || same.DSN() != rest.DSN() {
		t.Errorf("%q, %s", none, same.DSN())
	}
}
