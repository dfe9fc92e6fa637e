package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKeyAdd_AsksTheServiceOfTheConfigurationFile: commands use the listener of the file,
// so one at the default address says nothing about the key.
func TestKeyAdd_AsksTheServiceOfTheConfigurationFile(t *testing.T) {
	usual := keyPauses
	keyPauses = make([]time.Duration, len(usual))
	t.Cleanup(func() { keyPauses = usual })
	for _, tt := range []struct {
		name   string
		status int
		body   string
		warns  bool
	}{
		{"it knows the key", http.StatusOK, `{"clients":[]}`, false},
		{"it reads another file", http.StatusUnauthorized, `{"error":"unauthorized","error_description":"unknown API key"}`, true},
		{"it does not answer as tokend does", http.StatusNotFound, `no`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			home := clean(t)
			key := ""
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				key = r.Header.Get("Authorization")
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			defer s.Close()
			addr := s.Listener.Addr().String()
			write(t, filepath.Join(home, ".config", "tokend", "tokend.yaml"), `
listen: `+addr+`
socket: "off"
clients:
  demo: {issuer: "http://127.0.0.1:1/", client_id: demo, client_secret: `+canarySecret+`, login: headless, redirect_uri: "http://localhost:8484/callback"}
`, 0o600)
			setenv(t, "TOKEND_API_KEY="+canaryKey) // the command's own key, which is not the question
			o := runTokend(t, "key", "add", "ci", "--clients", "demo")
			if o.code != 0 || key != "Bearer "+strings.TrimSpace(o.stdout) {
				t.Errorf("%+v; the service was asked with another key, or not", o)
			}
			if strings.Contains(o.stderr, "warning: the service at http://"+addr+" does not know this key") != tt.warns {
				t.Errorf("stderr %q", o.stderr)
			}
		})
	}
}

// TestKeyRevoke_NamedTwice: a duplicate name counts once.
func TestKeyRevoke_NamedTwice(t *testing.T) {
	clean(t)
	setenv(t, "TOKEND_LISTEN=off", "TOKEND_CLIENTS=demo", "TOKEND_CLIENT_DEMO_ISSUER=http://127.0.0.1:1/", "TOKEND_CLIENT_DEMO_CLIENT_ID=demo",
		"TOKEND_CLIENT_DEMO_CLIENT_SECRET="+canarySecret, "TOKEND_CLIENT_DEMO_REDIRECT_URI=http://localhost:8484/callback", "TOKEND_CLIENT_DEMO_LOGIN=headless")
	for _, name := range []string{"ci", "other"} {
		if o := runTokend(t, "key", "add", name, "--clients", "*"); o.code != 0 {
			t.Fatalf("%+v", o)
		}
	}
	if o := runTokend(t, "key", "revoke", "ci", "other", "ci"); o.code != 0 || o.stdout != "revoked the API key ci\nrevoked the API key other\n" {
		t.Errorf("%+v", o)
	}
}
