package e2e_test

import (
	"regexp"
	"strings"
	"testing"
)

// TestRefusals: what the provider's own tests make of a made-up tokend, the
// real one says too, at plan, before anything is changed.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, map[string]string{
		"TOKEND_CLIENTS": "demo,person", "TOKEND_CLIENT_PERSON_LOGIN": "browser",
		"TOKEND_CLIENT_PERSON_ISSUER": "$ISSUER", "TOKEND_CLIENT_PERSON_CLIENT_ID": "demo", "TOKEND_CLIENT_PERSON_CLIENT_SECRET": "demo-secret",
		"TOKEND_CLIENT_PERSON_REDIRECT_URI": "http://localhost:8484/callback",
	})
	tests := []struct {
		name, provider, token string
		env                   map[string]string
		want                  string
	}{
		{"unknown client", "", `client = "dmo"`, nil, `Unknown client.*has no client "dmo".*The\s+clients\s+are:\s+demo,\s+person`},
		{"login required", "", `client = "person"`, nil, `Login required.*  tokend login person --browser\n.*  http://localhost:\d+/authorize\?\S*state=`},
		{"more than the maximum", "", "client = \"demo\"\nmin_validity = \"25h\"", nil, `more than the provider's maximum.*min_validity is 25h0m0s.*live\s+for\s+2(4h0m0|3h59m59)s.*at\s+most\s+21h3(6m0|5m59)s`},
		{"wrong key", `api_key = "not-the-key-of-tokend"`, `client = "demo"`, nil, `refuses the key.*unknown API key.*api_key\s+of\s+the\s+provider's\s+configuration`},
		{"key of another user", "", `client = "demo"`, map[string]string{"XDG_STATE_HOME": "/nowhere"}, `refuses the key.*no API key.*No\s+key\s+was\s+found`},
		{"not running", `endpoint = "http://127.0.0.1:1"`, `client = "demo"`, nil, `not reachable.*connection\s+refused.*  tokend serve\n`},
		{"something else there", `endpoint = "` + strings.TrimSuffix(w.issuer, "/") + `"`, `client = "demo"`, nil, `Not tokend`},
		{"unknown audience", "", "client = \"demo\"\naudience = \"https://nowhere.example.com/\"", nil, `Error: tokend refuses the request.*https://nowhere\.example\.com/`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ws := w.workspace(t, providers("tokend/tokend")+"provider \"tokend\" {\n"+tt.provider+"\n}\nephemeral \"tokend_token\" \"this\" {\n"+tt.token+"\n}\n", "tokend/tokend")
			for name, value := range tt.env {
				ws.env[name] = value
			}
			out, err := ws.terraform(t, "plan", "-no-color", "-input=false")
			out = regexp.MustCompile(`(?m)^[│╷╵] ?`).ReplaceAllString(out, "")
			if err == nil || !regexp.MustCompile(`(?s)`+tt.want).MatchString(out) {
				t.Errorf("%v, want %q:\n%s", err, tt.want, out)
			}
			if hits(out, w.key(t)) {
				t.Error("a secret is shown")
			}
		})
	}
}

// TestSocket: by its socket tokend is reached without a key, and in its default
// places without any configuration.
func TestSocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, nil)
	configuration := providers("tokend/tokend") + "ephemeral \"tokend_token\" \"this\" {\n  client = \"demo\"\n}\n"
	for name, env := range map[string]map[string]string{
		"named":          {"TOKEND_ADDR": "unix:" + w.dir + "/run/tokend/tokend.sock", "XDG_STATE_HOME": "/nowhere"},
		"default places": {"TOKEND_ADDR": ""},
	} {
		t.Run(name, func(t *testing.T) {
			ws := w.workspace(t, configuration, "tokend/tokend")
			for k, v := range env {
				ws.env[k] = v
			}
			ws.must(t, "plan", "-no-color", "-input=false")
		})
	}
}
