package tenantfile

import (
	"slices"
	"strings"
	"testing"
)

// Passwordless connections are read, in YAML and in JSON; the others are reported.
func TestConnections(t *testing.T) {
	const ignored = "): social and enterprise connections do not exist; give users a password instead"
	for name, in := range map[string]string{
		"yaml": "clients: [{name: A}]\nconnections:\n  - {name: google-oauth2, strategy: google-oauth2}\n  - {name: email, strategy: email, enabled_clients: [A]}\n",
		"json": "{\"clients\":[{\"name\":\"A\"}],\n\"connections\":[\n{\"name\":\"google-oauth2\",\"strategy\":\"google-oauth2\"},\n" +
			"{\"name\":\"email\",\"strategy\":\"email\",\"enabled_clients\":[\"A\"]}]}",
	} {
		t.Run(name, func(t *testing.T) {
			r, err := loadText(t, in)
			if err != nil || !slices.Equal(r.Ignored, []string{"connections (f.yaml:3" + ignored}) {
				t.Errorf("%v %q", err, r.Ignored)
			}
			if c := r.Tenant.Connections; len(c) != 1 || c[0].Name != "email" || c[0].Strategy != "email" || !slices.Equal(c[0].EnabledClients, []string{"A"}) {
				t.Errorf("%+v", c)
			}
		})
	}
	r, err := loadText(t, `{"clients":[{"name":"A"}],"connections":[{"name":"sms","strategy":"sms"}]}`)
	if err != nil || len(r.Ignored) > 0 || len(r.Tenant.Connections) != 1 {
		t.Errorf("%v %q %+v", err, r.Ignored, r.Tenant.Connections)
	}
	for in, want := range map[string]string{
		"clients: [{name: A}]\nconnections: [{name: x}]\n":                                            `strategy: "" of connection "x" is not one of email, sms; the mock has no other connections`,
		"clients: [{name: A}]\nconnections: [{strategy: email}]\n":                                    "name: a connection needs a name",
		"clients: [{name: A}]\nconnections: 3\n":                                                      "connections must be a list",
		"clients: [{name: A}]\nconnections: [{name: []}, sms]\n":                                      "connections: name must be a string",
		"clients: [{name: A}]\ndatabases: [{name: ''}]\n":                                             "name: a database needs a name",
		"clients: [{name: A, oidc_logout: {backchannel_logout_urls: ['http://app.example.com/']}}]\n": "is neither https nor http on a loopback host",
	} {
		if _, err := loadText(t, in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", in, err)
		}
	}
}
