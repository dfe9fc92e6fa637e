package flow

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// withPAR makes s accept pushed authorization requests.
func (s *tenant) withPAR(required bool) (pushes *[]url.Values) {
	var all []url.Values
	s.discovery = func(m map[string]any) {
		m["pushed_authorization_request_endpoint"], m["require_pushed_authorization_requests"] = testIssuer+"par", required
	}
	s.paths["/par"] = func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		all = append(all, r.Form)
		reply(w, 201, map[string]any{"request_uri": fmt.Sprint("urn:x:", len(all)), "expires_in": 30})
	}
	s.authorize = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		q := r.URL.Query()
		if !strings.HasPrefix(q.Get("request_uri"), "urn:x:") || len(q) != 2 {
			u, _ := url.Parse(q.Get("redirect_uri"))
			u.RawQuery = url.Values{"error": {"invalid_request"}, "error_description": {"Pushed Authorization Requests are required"}, "state": {q.Get("state")}}.Encode()
			http.Redirect(w, r, u.String(), http.StatusFound)
			return
		}
		in := r.Clone(r.Context())
		in.URL.RawQuery = all[len(all)-1].Encode()
		next(w, in)
	}
	return &all
}

func TestPAR_WhenRequired(t *testing.T) {
	for name, required := range map[string]bool{"by the metadata": true, "by the configuration": false} {
		t.Run(name, func(t *testing.T) {
			s := newTenant()
			pushes := s.withPAR(required)
			c := s.loggedIn(t, func(c *Config) { c.PAR = !required })
			p := (*pushes)[0]
			if p.Get("client_secret") != "CANARY-secret" || p.Get("code_challenge") == "" || p.Get("redirect_uri") == "" || p.Get("response_type") != "code" {
				t.Errorf("pushed %v", p)
			}
			l, err := c.Login(t.Context())
			if err != nil || l.URL != testIssuer+"authorize?client_id=client&request_uri=urn%3Ax%3A2" {
				t.Errorf("%s, %v", l.URL, err)
			}
			if f := finding(c.Check(t.Context()), "authorize"); f.Result != ResultSkipped || len(*pushes) != 2 {
				t.Errorf("%+v, %d pushed", f, len(*pushes))
			}
		})
	}
}

func TestPAR_NotUsed_HintNamesSetting(t *testing.T) {
	s := newTenant()
	s.withPAR(false)
	c := mustNew(t, s.config())
	_, err := c.LoginHeadless(t.Context())
	wantError(t, err, ClassRequest, parHint)
	if f := finding(c.Check(t.Context()), "authorize"); f.Result != ResultProblem || f.Hint != parHint {
		t.Errorf("%+v", f)
	}
	if c.wantsPAR("invalid_request", "a parameter is missing") || c.wantsPAR("invalid_scope", "PAR") {
		t.Error("PAR is named where it is not meant")
	}
}

func TestPAR_Rejected(t *testing.T) {
	for name, tc := range map[string]struct {
		h     http.HandlerFunc
		class Class
		part  string
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 401, map[string]string{"error": "invalid_client"})
		}, ClassClientRejected, "invalid_client"},
		"no request_uri": {func(w http.ResponseWriter, _ *http.Request) { reply(w, 201, map[string]int{"expires_in": 1}) }, ClassBadResponse, "no request_uri"},
		"no JSON":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) }, ClassBadResponse, "not a JSON object"},
		"redirects":      {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "https://evil.test/", 307) }, ClassRedirect, ""},
		"down":           {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, ClassUnreachable, "503"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTenant()
			s.withPAR(true)
			s.paths["/par"] = tc.h
			_, err := mustNew(t, s.config()).Login(t.Context())
			if e := wantError(t, err, tc.class, tc.part); strings.Contains(e.Error(), "CANARY") || s.called("/par") != 1 {
				t.Errorf("%v, %d requests", e, s.called("/par"))
			}
		})
	}
	s := newTenant()
	s.discovery = func(m map[string]any) { m["require_pushed_authorization_requests"] = true }
	_, err := mustNew(t, s.config()).Login(t.Context())
	wantError(t, err, ClassBadResponse, "pushed_authorization_request_endpoint")
	s.discovery = nil
	cfg := s.config()
	cfg.PAR = true
	_, err = mustNew(t, cfg).Login(t.Context())
	wantError(t, err, ClassBadResponse, "pushed_authorization_request_endpoint")
}
