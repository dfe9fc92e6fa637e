package tenantfile

import (
	"slices"
	"testing"
)

// A key close to a known one is suggested at each place; a section of Auth0, or a key
// close to none, is not.
func TestTypos(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"member": {
			"clients:\n  - name: A\n    callback: [http://localhost/]\n  - name: B\n    CallBacks: []\n",
			[]string{"clients.CallBacks (f.yaml:5): did you mean callbacks?", "clients.callback (f.yaml:3): did you mean callbacks?"},
		},
		"nested":        {"clients:\n  - name: A\n    refresh_token: {leway: 3}\n", []string{"clients.refresh_token.leway (f.yaml:3): did you mean leeway?"}},
		"section":       {"clients: [{name: A}]\nrole: [{name: r}]\n", []string{"role (f.yaml:2): did you mean roles?"}},
		"snake case":    {"clients: [{name: A}]\nresource_servers: [{name: r}]\n", []string{"resource_servers (f.yaml:2): did you mean resourceServers?"}},
		"Auth0 has it":  {"clients: [{name: A}]\nrules: [{name: r}]\n", []string{"rules (f.yaml:2): the mock does not run rules; declare their effects under x-actions"}},
		"near to none":  {"clients: [{name: A, logo_uri: x}]\n", []string{"clients: logo_uri: no effect; a real tenant with these values gives clients the same answers"}},
		"near to two":   {"clients: [{name: A}]\nusers: [{email: a, aper_metadata: {}}]\n", []string{"users: aper_metadata: no effect; the mock does not know this field"}},
		"short is none": {"clients: [{name: A}]\norganizations: [{name: o, ip: x}]\n", []string{"organizations: ip: no effect; the mock does not know this field"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := loadText(t, c.in)
			if err != nil || !slices.Equal(r.Ignored, c.want) {
				t.Errorf("%v\ngot  %q\nwant %q", err, r.Ignored, c.want)
			}
		})
	}
}
