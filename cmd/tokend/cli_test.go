package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tokend/pkg/tokend"
)

func TestTokenFormats(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	s := serve(t)
	for _, endpoint := range [][]string{
		nil, // the default socket
		{"TOKEND_ADDR=unix:" + filepath.Join(home, ".local/state/tokend/tokend.sock")},
		{"TOKEND_ADDR=http://" + s.tcp},
		{"TOKEND_ADDR=http://" + s.tcp + "/", "TOKEND_API_KEY_FILE=" + filepath.Join(home, ".local/state/tokend/api.key")},
		{"TOKEND_ADDR=", "TOKEND_SOCKET=/nonexistent", "TOKEND_LISTEN=" + s.tcp}, // the default listener
		{"TOKEND_ADDR=", "TOKEND_SOCKET=off", "TOKEND_LISTEN=" + s.tcp},
		{"TOKEND_ADDR=", "TOKEND_SOCKET=", "TOKEND_LISTEN=off"},
	} {
		setenv(t, endpoint...)
		for format, want := range map[string]string{
			"text":   canaryToken + "\n",
			"header": "Authorization: Bearer " + canaryToken + "\n",
			"json":   `{"access_token":"` + canaryToken + `","token_type":"Bearer","expires_in":`,
			"env":    "export ACCESS_TOKEN='" + canaryToken + "'\nexport ACCESS_TOKEN_EXPIRES_AT='2",
		} {
			o := runTokend(t, "token", "demo", "--format", format)
			if o.code != 0 || !strings.HasPrefix(o.stdout, want) || o.stderr != "" || !strings.HasSuffix(o.stdout, "\n") {
				t.Errorf("%v %s: exit %d, stdout %q, stderr %q", endpoint, format, o.code, o.stdout, o.stderr)
			}
		}
	}
	if o := runTokend(t, "token", "demo", "--min-validity", "48h"); o.code != 0 || !strings.Contains(o.stderr, "warning:") || o.stdout != canaryToken+"\n" {
		t.Errorf("beyond the provider's maximum: %+v", o)
	}
	key, err := os.ReadFile(filepath.Join(home, ".local/state/tokend/api.key"))
	if err != nil || len(strings.TrimSpace(string(key))) != 43 {
		t.Fatalf("API key of %d characters: %v", len(key), err)
	}
	noCanary(t, "log", s.log.String())
	if strings.Contains(s.log.String(), strings.TrimSpace(string(key))) {
		t.Error("the API key is in the log")
	}
}

func TestExitCodes(t *testing.T) {
	clean(t)
	f := newTenant(t)
	f.configure(t)
	s := serve(t)
	setenv(t, "TOKEND_ADDR=http://"+s.tcp)
	for _, c := range []struct {
		args   string
		env    string
		code   int
		stderr string
	}{
		{"token", "", 64, "hint: tokend token NAME"},
		{"token demo extra", "", 64, `unexpected argument "extra"`},
		{"token demo --format xml", "", 64, `format "xml"`},
		{"token demo --min-validity soon", "", 64, "min-validity"},
		{"token demo --min-validity -1s", "", 64, "negative"},
		{"token demo --nonsense", "", 64, "--nonsense"},
		{"nonsense", "", 64, "nonsense"},
		{"status --format xml", "", 64, `format "xml"`},
		{"login demo --browser --paste", "", 64, "browser"},
		{"token missing", "", 66, "unknown_client"},
		{"login missing", "", 66, "unknown_client"},
		{"logout missing", "", 66, "unknown_client"},
		{"refresh missing", "", 66, "unknown_client"},
		{"token demo", "", 77, "hint: tokend login demo --browser"},
		{"login demo", "", 77, "login_required"},
		{"token demo", "TOKEND_API_KEY=wrong-wrong-wrong-wrong", 77, "unauthorized"},
		{"token demo", "TOKEND_ADDR=unix:/nonexistent/s", 69, "hint: start it with tokend serve"},
		{"healthcheck", "TOKEND_ADDR=unix:/nonexistent/s", 69, "does not answer"},
		{"token demo", "TOKEND_ADDR=http://tokend.example:8484", 78, "TOKEND_ADDR"},
		{"token demo", "TOKEND_ADDR=https://127.0.0.1:8484/v1", 78, "TOKEND_ADDR"},
		{"token demo", "TOKEND_API_KEY_FILE=/nonexistent", 78, "cannot read key file /nonexistent"},
		{"config check", "TOKEND_CLIENT_DEMO_ISSUER=", 78, "issuer is missing"},
		{"healthcheck", "", 0, ""},
		{"healthcheck", "TOKEND_API_KEY_FILE=/nonexistent", 0, ""},
		{"status", "", 0, ""},
		{"version", "", 0, ""},
		{"config check", "", 0, ""},
		{"--help", "", 0, ""},
		{"", "", 0, ""},
	} {
		t.Run(strings.TrimSpace(c.args+" "+c.env), func(t *testing.T) {
			if c.env != "" {
				setenv(t, c.env)
			}
			o := runTokend(t, strings.Fields(c.args)...)
			if o.code != c.code || !strings.Contains(o.stderr, c.stderr) {
				t.Errorf("exit %d, want %d; stderr %q", o.code, c.code, o.stderr)
			}
			if (o.stdout == "") != (o.code != 0) {
				t.Errorf("exit %d with stdout %q", o.code, o.stdout)
			}
			if o.code != 0 && (!strings.HasPrefix(o.stderr, "error: ") || strings.Count(o.stderr, "\n") > 2) {
				t.Errorf("stderr is not an error and a hint: %q", o.stderr)
			}
			noCanary(t, "stderr", o.stderr)
		})
	}
}

// Each answer of the service has its code; none reaches stdout.
func TestExitCodeOfAnswers(t *testing.T) {
	clean(t)
	for _, c := range []struct {
		status int
		code   string
		want   int
	}{
		{400, "invalid_request", 64},
		{401, "unauthorized", 77},
		{403, "client_forbidden", 77},
		{404, "unknown_client", 66},
		{404, "not_found", 64},
		{409, "login_required", 77},
		{409, "client_rejected", 77},
		{409, "invalid_configuration", 78},
		{400, "invalid_state", 77},
		{502, "idp_bad_response", 76},
		{502, "idp_redirect", 76},
		{503, "idp_unreachable", 75},
		{503, "idp_timeout", 75},
		{503, "idp_rate_limited", 75},
		{503, "lease_busy", 75},
		{500, "store_unavailable", 75},
		{500, "store_corrupt", 78},
		{500, "internal", 76},
		{302, "", 76},
		{200, "", 76},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(c.status)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": c.code, "error_description": "text", "hint": "do", "client": "demo"})
		}))
		t.Setenv("TOKEND_ADDR", s.URL)
		o := runTokend(t, "token", "demo")
		s.Close()
		if o.code != c.want || o.stdout != "" {
			t.Errorf("%d %s: exit %d, want %d: %q %q", c.status, c.code, o.code, c.want, o.stdout, o.stderr)
		}
		if c.code != "" && o.stderr != "error: "+c.code+": text\nhint: do\n" {
			t.Errorf("%d %s: %q", c.status, c.code, o.stderr)
		}
	}
}

func TestX29_NoProxyForLoopback(t *testing.T) {
	clean(t)
	proxied := make(chan string, 9)
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { proxied <- r.URL.String() }))
	defer proxy.Close()
	setenv(t, "http_proxy="+proxy.URL, "HTTP_PROXY="+proxy.URL, "ALL_PROXY="+proxy.URL, "no_proxy=", "NO_PROXY=")
	c, err := tokend.New(tokend.Service{Addrs: []string{"http://127.0.0.1:8484"}})
	if err != nil {
		t.Fatal(err)
	}
	if tr, ok := c.HTTPClient().Transport.(*http.Transport); !ok || tr.Proxy != nil {
		t.Error("the transport asks for a proxy")
	}
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	s := serve(t)
	setenv(t, "TOKEND_ADDR=http://"+s.tcp)
	if o := runTokend(t, "token", "demo"); o.code != 0 {
		t.Errorf("exit %d: %s", o.code, o.stderr)
	}
	select {
	case u := <-proxied:
		t.Errorf("went through the proxy: %s", u)
	default:
	}
}

func TestStatus(t *testing.T) {
	clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENTS=ci,demo", "TOKEND_CLIENT_CI_ISSUER="+f.URL+"/", "TOKEND_CLIENT_CI_CLIENT_ID=ci",
		"TOKEND_CLIENT_CI_CLIENT_SECRET="+canarySecret, "TOKEND_CLIENT_CI_GRANT=client_credentials")
	serve(t)
	if o := runTokend(t, "token", "ci"); o.code != 0 {
		t.Errorf("a client with another one that needs a login: %+v", o)
	}
	runTokend(t, "token", "demo")
	o := runTokend(t, "status")
	for _, want := range []string{"CLIENT  STATE", "ci      ready", "demo    login_required", "tokend login demo --browser or --paste, or open " + f.URL + "/authorize?"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("table lacks %q:\n%s", want, o.stdout)
		}
	}
	o = runTokend(t, "status", "--format", "json")
	if !json.Valid([]byte(o.stdout)) || !strings.Contains(o.stdout, `"authorize_url":"`) {
		t.Errorf("%+v", o)
	}
	noCanary(t, "status", o.stdout)
}
