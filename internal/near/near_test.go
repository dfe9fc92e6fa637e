package near

import "testing"

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
