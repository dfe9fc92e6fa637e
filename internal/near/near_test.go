package near

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	known := []string{"clients", "keys", "files", "issuer", "client_secret", "client_secret_file"}
	for name, want := range map[string]string{
		"client": "clients", "clinets": "clients", "isuser": "issuer", "ISSUER": "issuer", "clientSecret": "client_secret",
		"client-secret-fle": "client_secret_file", "kesy": "keys", "audience": "", "cl": "", "issrue": "", "": "",
	} {
		if got := Name(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if got := Name("ab", []string{"abcd", "abce"}); got != "" {
		t.Errorf("of two that are equally near: %q", got)
	}
}

func TestNames(t *testing.T) {
	known := []string{"demo", "demo-ci", "prod", "ci", "staging"}
	for name, want := range map[string]string{
		"deno": "demo", "dem": "demo demo-ci", "demo-cl": "demo-ci", "stagign": "staging", "cx": "ci", "x": "", "other": "", "": "",
	} {
		if got := strings.Join(Names(name, known, 3), " "); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if got := Names("client-1", []string{"client-11", "client-12", "client-13", "client-14"}, 2); len(got) != 2 {
		t.Errorf("%q", got)
	}
}
