package daemon

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"example.com/tokend/pkg/flow"
)

// withDevice adds the device flow to a tenant whose person never decides.
func (f *fakeTenant) withDevice(t *testing.T) Client {
	t.Helper()
	mux := http.NewServeMux()
	inner := f.Config.Handler
	mux.Handle("/", inner)
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": f.issuer(), "token_endpoint": f.URL + "/oauth/token", "jwks_uri": f.URL + "/jwks",
			"device_authorization_endpoint": f.URL + "/oauth/device/code",
		})
	})
	mux.HandleFunc("POST /oauth/device/code", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"device_code": canaryCode, "user_code": "QTZL-MCBW", "verification_uri": f.URL + "/activate",
			"verification_uri_complete": f.URL + "/activate?user_code=QTZL-MCBW", "expires_in": 900, "interval": 60,
		})
	})
	f.Config.Handler = mux
	return makeClient(t, flow.Config{
		Name: "tv", Issuer: f.issuer(), ClientID: "tv", Source: flow.Device{}, Scopes: []string{"offline_access"},
	}, "device")
}

func TestDeviceLogin_ProviderDown(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{f.withDevice(t)}})
	f.Close()
	if a := d.call(t, "POST", "/v1/clients/tv/login", ""); a.StatusCode != 503 || a.error(t) != "idp_unreachable" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestDeviceLogin(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{f.withDevice(t), kept(t, f, "ci")}})

	// A status request begins no login.
	a := d.call(t, "GET", "/v1/clients/tv/token", "")
	if a.StatusCode != 409 || a.error(t) != "login_required" || strings.Contains(a.body, "QTZL") || strings.Contains(a.body, "authorize_url") {
		t.Errorf("before: %d %s", a.StatusCode, a.body)
	}
	stable := regexp.MustCompile(`127\.0\.0\.1:\d+|\d{4}-\d\d-\d\dT[0-9:.]+Z?|"expires_in":\d+`)
	login := d.call(t, "POST", "/v1/clients/tv/login", "")
	token := d.call(t, "GET", "/v1/clients/tv/token", "")
	view := d.call(t, "GET", "/v1/clients/tv", "")
	text := ""
	looking := regexp.MustCompile(`"next_refresh":"[^"]*",`) // Run may not have read the store yet
	view.body = looking.ReplaceAllString(view.body, "")
	for _, a := range []answered{login, token, view} {
		text += a.Status + "\n" + stable.ReplaceAllString(a.body, "…") + "\n"
		noCanary(t, "answer", a.body)
	}
	golden(t, "device_login", text)
	if again := d.call(t, "POST", "/v1/clients/tv/login", ""); !strings.Contains(again.body, "QTZL-MCBW") {
		t.Errorf("again: %s", again.body)
	}
	if a := d.call(t, "POST", "/v1/clients/tv/login", `{"headless":true}`); a.StatusCode != 409 || a.error(t) != "login_required" {
		t.Errorf("headless: %d %s", a.StatusCode, a.body)
	}
	if a := d.call(t, "POST", "/v1/clients/tv/code", `{"code":"`+canaryCode+`","state":"x"}`); a.StatusCode != 400 || a.error(t) != "invalid_state" {
		t.Errorf("code: %d %s", a.StatusCode, a.body)
	}
	if a := d.call(t, "DELETE", "/v1/clients/tv/grant", ""); a.StatusCode != 200 {
		t.Errorf("logout: %d %s", a.StatusCode, a.body)
	}
	if f.posts.Load() > 1 { // of ci
		t.Errorf("%d token requests", f.posts.Load())
	}
	noCanary(t, "log", d.log.String())
}
