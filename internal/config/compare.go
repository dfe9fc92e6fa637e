package config

import (
	"maps"
	"net/url"
	"reflect"
	"slices"

	"example.com/tokend/internal/tokenfile"
	"example.com/tokend/pkg/flow"
)

// Comparison is what a reload does to the clients, by name.
type Comparison struct{ Added, Changed, Removed, Unchanged []string }

// Compare compares two configurations.
func Compare(old, next []Client) Comparison {
	var c Comparison
	before := map[string]Client{}
	for _, cl := range old {
		before[cl.Name] = cl
	}
	for _, cl := range next {
		was, known := before[cl.Name]
		delete(before, cl.Name)
		switch {
		case !known:
			c.Added = append(c.Added, cl.Name)
		case was.Same(cl):
			c.Unchanged = append(c.Unchanged, cl.Name)
		default:
			c.Changed = append(c.Changed, cl.Name)
		}
	}
	c.Removed = slices.Sorted(maps.Keys(before))
	return c
}

// NeedsRestart returns the settings of the service in which next differs from s: a
// reload does not apply them.
func (s Config) NeedsRestart(next Config) []string {
	var names []string
	for _, d := range []struct {
		name   string
		differ bool
	}{
		{"listen", s.Listen != next.Listen},
		{"socket", s.Socket != next.Socket},
		{"tls_listen", s.TLS.Listen != next.TLS.Listen},
		{"tls_cert_file", s.TLS.CertFile != next.TLS.CertFile},
		{"tls_key_file", s.TLS.KeyFile != next.TLS.KeyFile},
		{"tls_client_ca_file", s.TLS.ClientCAFile != next.TLS.ClientCAFile},
		{"callers", s.Shared() != next.Shared()}, // the mode of the socket
		{"store", s.Store != next.Store},
		{"store_key_file", s.KeysetFile != next.KeysetFile},
		{"store_password", s.StorePassword != next.StorePassword},
		{"spill_dir", s.SpillDir != next.SpillDir},
		{"caller_rate_limit", s.CallerRate != next.CallerRate},
		{"audit_file", s.Audit != next.Audit},
		{"log_level", s.Level != next.Level},
		{"log_format", s.JSON != next.JSON},
		{"on_event", !reflect.DeepEqual(s.OnEvent, next.OnEvent)},
	} {
		if d.differ {
			names = append(names, d.name)
		}
	}
	return names
}

// Same reports whether two clients have the same configuration. Every field of
// Client counts; TestF35_Same walks them.
func (s Client) Same(o Client) bool {
	return s.SameGrant(o) && s.Login == o.Login && slices.Equal(s.Hosts, o.Hosts) && sameURLs(s.Upstreams, o.Upstreams) &&
		sameList(s.Env, o.Env) && slices.EqualFunc(s.Files, o.Files, SameFile) && s.ActionsIDToken == o.ActionsIDToken
}

// SameGrant reports whether two clients keep their grant in the same way, so that
// one flow client can serve both settings.
func (s Client) SameGrant(o Client) bool {
	a, b := s.Config, o.Config
	return s.OwnRedirect == o.OwnRedirect &&
		a.Name == b.Name && a.Issuer == b.Issuer && a.ClientID == b.ClientID && a.ClientSecret == b.ClientSecret &&
		a.PrivateKey.Equal(b.PrivateKey) && sameValues(a.TokenParams, b.TokenParams) && a.PAR == b.PAR &&
		a.Auth == b.Auth && s.sameSource(o) && a.RedirectURL == b.RedirectURL && a.Audience == b.Audience &&
		sameList(a.Scopes, b.Scopes) && slices.Equal(a.Resources, b.Resources) &&
		s.sameFunc(a.ClientSecretFrom != nil, b.ClientSecretFrom != nil, o) && s.sameFunc(a.AssertionFrom != nil, b.AssertionFrom != nil, o) &&
		a.Provider == b.Provider && a.HTTPClient == b.HTTPClient && a.Store == b.Store &&
		a.Endpoint == b.Endpoint && a.JWKSURL == b.JWKSURL && a.RevocationURL == b.RevocationURL &&
		a.Rotation == b.Rotation && a.Leeway == b.Leeway && a.Advisory == b.Advisory && a.Mandatory == b.Mandatory &&
		a.Lifetime == b.Lifetime && a.Idle == b.Idle && a.Absolute == b.Absolute && a.InsecureAllowHTTP == b.InsecureAllowHTTP &&
		s.sameFunc(a.Now != nil, b.Now != nil, o) && a.Rand == b.Rand && a.Log == b.Log &&
		s.sameFunc(a.OnChange != nil, b.OnChange != nil, o) && s.sameFunc(a.OnStart != nil, b.OnStart != nil, o) && s.sameFunc(a.OnEvent != nil, b.OnEvent != nil, o) &&
		s.sameFunc(a.OnRefresh != nil, b.OnRefresh != nil, o) && a.EndingAhead == b.EndingAhead
}

// sameFunc reports whether a function-valued field is the same in both: absent,
// or from the same settings. The environment does not change while the process runs.
func (s Client) sameFunc(one, other bool, o Client) bool {
	return one == other && (!one || s.from == o.from)
}

func (s Client) sameSource(o Client) bool {
	switch a := s.Source.(type) {
	case flow.AuthorizationCode:
		b, ok := o.Source.(flow.AuthorizationCode)
		return ok && a.Headless == b.Headless && sameValues(a.Params, b.Params)
	case flow.Exchange:
		b, ok := o.Source.(flow.Exchange)
		return ok && a.SubjectTokenType == b.SubjectTokenType && a.SubjectTokenFile == b.SubjectTokenFile &&
			s.sameFunc(a.SubjectToken != nil, b.SubjectToken != nil, o)
	}
	_, code := o.Source.(flow.AuthorizationCode)
	_, exchange := o.Source.(flow.Exchange)
	return !code && !exchange && s.Source == o.Source // the others are comparable
}

// SameFile reports whether two token files have the same configuration.
func SameFile(a, b tokenfile.Config) bool {
	return a.Path == b.Path && a.Format == b.Format && a.Mode == b.Mode && a.MinValidity == b.MinValidity &&
		slices.Equal(a.Variables, b.Variables) && slices.Equal(a.Hook, b.Hook) && slices.Equal(a.HookEnv, b.HookEnv) &&
		a.HookTimeout == b.HookTimeout && a.HookOutput == b.HookOutput && a.HookAlways == b.HookAlways &&
		(a.Now == nil) == (b.Now == nil) && (a.OnWrite == nil) == (b.OnWrite == nil) && a.Log == b.Log
}

// sameList is slices.Equal where nil stands for a default and an empty list does not.
func sameList(a, b []string) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }

func sameValues(a, b url.Values) bool { return maps.EqualFunc(a, b, slices.Equal) }

func sameURLs(a, b []*url.URL) bool {
	return slices.EqualFunc(a, b, func(a, b *url.URL) bool { return a.String() == b.String() })
}
