package flow

import (
	"net/url"
	"slices"
	"testing"
	"time"
)

// Resource parameters (RFC 8707) are in each request for the client's own audience, and in
// none for another one.
func TestResources_OfEachRequest(t *testing.T) {
	apis := []string{"https://api.example.com/", "urn:example:calls"}
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, func(c *Config) { c.Resources = apis })
		l, err := c.Login(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(l.URL)
		if err != nil || !slices.Equal(u.Query()["resource"], apis) {
			t.Errorf("%s, %v", l.URL, err)
		}
		time.Sleep(s.lifetime)
		if _, err := c.Get(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(t.Context(), Request{Audience: "https://other.example.com/"}); err != nil {
			t.Fatal(err)
		}
		if len(s.posts) != 3 || !slices.Equal(s.posts[0]["resource"], apis) || !slices.Equal(s.posts[1]["resource"], apis) || s.posts[2]["resource"] != nil {
			t.Errorf("%v", s.posts)
		}
	})
	s := newTenant()
	c := mustNew(t, s.config())
	c.cfg.Resources, c.cfg.Source, c.kind = apis, ClientCredentials{}, kindOf(ClientCredentials{})
	if _, err := c.Get(t.Context(), Request{}); err != nil || !slices.Equal(s.posts[0]["resource"], apis) {
		t.Errorf("client credentials: %v, %v", s.posts, err)
	}
}

func TestResources_ConfigErrors(t *testing.T) {
	for name, c := range map[string]Config{
		"is not an absolute URI":                {Resources: []string{"api"}},
		"without a fragment":                    {Resources: []string{"https://api.example.com/#x"}},
		`authorization parameter "resource" is`: {Resources: []string{"urn:a"}, Source: AuthorizationCode{Params: url.Values{"resource": {"x"}}}},
		`token parameter "resource" is set`:     {Resources: []string{"urn:a"}, Source: ClientCredentials{}, ClientSecret: "s", TokenParams: url.Values{"resource": {"x"}}},
	} {
		c.Issuer, c.ClientID = testIssuer, "c"
		_, err := New(c)
		wantError(t, err, ClassConfig, name)
	}
}
