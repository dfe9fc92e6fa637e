package mock_test

import (
	"html"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
)

func TestResponseTypes(t *testing.T) {
	w := newWorld(t, mock.Config{})
	cases := []struct {
		kind   string
		params []string // in order
	}{
		{"code", []string{"code", "state"}},
		{"token", []string{"access_token", "scope", "expires_in", "token_type", "state"}},
		{"id_token", []string{"id_token", "state"}},
		{"id_token token", []string{"access_token", "id_token", "scope", "expires_in", "token_type", "state"}},
		{"code token", []string{"access_token", "code", "scope", "expires_in", "token_type", "state"}},
		{"code id_token", []string{"code", "id_token", "state"}},
		{"id_token code token", []string{"access_token", "code", "id_token", "scope", "expires_in", "token_type", "state"}},
	}
	for _, c := range cases {
		t.Run(c.kind, func(t *testing.T) {
			r := w.authorize("client_id", "hybrid", "response_type", c.kind, "nonce", "n")
			u := r.location()
			raw := u.RawQuery
			if c.kind != "code" {
				if raw != "" {
					t.Fatalf("a query: %q", raw)
				}
				raw = u.EscapedFragment()
			}
			var names []string
			for p := range strings.SplitSeq(raw, "&") {
				name, _, _ := strings.Cut(p, "=")
				names = append(names, name)
			}
			if strings.Join(names, " ") != strings.Join(c.params, " ") {
				t.Errorf("parameters %v, want %v", names, c.params)
			}
			if id := r.param("id_token"); id != "" {
				cl := claims(t, id)
				if cl["nonce"] != "n" || (cl["at_hash"] != nil) != strings.Contains(" "+c.kind, " token") || (cl["c_hash"] != nil) != strings.Contains(c.kind, "code") {
					t.Errorf("nonce, at_hash, c_hash of %v", cl)
				}
			}
			if access := r.param("access_token"); access != "" {
				if r.param("expires_in") != "7200" || claims(t, access)["exp"].(float64)-claims(t, access)["iat"].(float64) != 7200 {
					t.Errorf("expires_in %s of %v", r.param("expires_in"), claims(t, access))
				}
			}
			if code := r.param("code"); code != "" {
				w.exchange(code, "client_id", "hybrid", "client_secret", "hybrid-secret").tokens()
			}
		})
	}
}

func TestResponseModes(t *testing.T) {
	w := newWorld(t, mock.Config{})
	t.Run("fragment", func(t *testing.T) {
		if u := w.authorize("response_mode", "fragment").location(); u.RawQuery != "" || !strings.HasPrefix(u.Fragment, "code=") {
			t.Errorf("%s", u)
		}
	})
	t.Run("form_post", func(t *testing.T) {
		r := w.authorize("response_mode", "form_post", "state", `"><b>&`)
		if r.status != 200 || !strings.Contains(r.body, `<form method="post" action="`+callback+`">`) || !strings.Contains(r.body, `name="code"`) {
			t.Errorf("%d %s", r.status, r.body)
		}
		if strings.Contains(r.body, "<b>") || !strings.Contains(html.UnescapeString(r.body), `name="state" value=""><b>&"`) {
			t.Errorf("the state is not escaped or not kept: %s", r.body)
		}
		if r.header.Get("X-Frame-Options") != "" || r.header.Get("Content-Security-Policy") != "" {
			t.Error("the answer may not be framed or may not submit itself")
		}
	})
	t.Run("web_message", func(t *testing.T) {
		w.mustControl("PATCH", "/_mock/clients/demo", `{"web_origins":["http://localhost:8484"]}`)
		for _, params := range [][]string{{}, {"prompt", "none", "scope", "openid other"}} {
			r := w.authorize(append([]string{"response_mode", "web_message", "state", "</script><script>"}, params...)...)
			for _, want := range []string{"window.parent.postMessage", "type: 'authorization_response'", `"http://localhost:8484"`, `"state":`} {
				if r.status != 200 || !strings.Contains(r.body, want) {
					t.Errorf("%d, no %q in %s", r.status, want, r.body)
				}
			}
			if strings.Contains(r.body, "</script><script>") || r.header.Get("X-Frame-Options") != "" {
				t.Error("the state escapes its string, or the answer may not be framed")
			}
			if has := strings.Contains(r.body, `"error":"consent_required"`); has != (len(params) > 0) {
				t.Errorf("consent_required: %v", has)
			}
		}
	})
}
