package main

import (
	"maps"
	"net/url"
	"reflect"
	"slices"

	"example.com/tokend/internal/tokenfile"
	"example.com/tokend/pkg/flow"
)

// comparison is what a reload has done to the clients, by name.
type comparison struct{ added, changed, removed, unchanged []string }

// compare compares two configurations.
func compare(old, next []clientSettings) comparison {
	var c comparison
	before := map[string]clientSettings{}
	for _, cl := range old {
		before[cl.Name] = cl
	}
	for _, cl := range next {
		was, known := before[cl.Name]
		delete(before, cl.Name)
		switch {
		case !known:
			c.added = append(c.added, cl.Name)
		case was.same(cl):
			c.unchanged = append(c.unchanged, cl.Name)
		default:
			c.changed = append(c.changed, cl.Name)
		}
	}
	c.removed = slices.Sorted(maps.Keys(before))
	return c
}

// same reports whether two clients are configured alike. Every field of
// clientSettings counts; TestF35_Same walks them.
func (s clientSettings) same(o clientSettings) bool {
	return s.sameGrant(o) && s.login == o.login && slices.Equal(s.hosts, o.hosts) && sameURLs(s.upstreams, o.upstreams) &&
		sameList(s.env, o.env) && slices.EqualFunc(s.files, o.files, sameFile) && s.actionsIDToken == o.actionsIDToken
}

// sameGrant reports whether two clients keep their grant in the same way, so that
// one flow client can serve both settings.
func (s clientSettings) sameGrant(o clientSettings) bool {
	a, b := s.Config, o.Config
	return s.ownRedirect == o.ownRedirect &&
		a.Name == b.Name && a.Issuer == b.Issuer && a.ClientID == b.ClientID && a.ClientSecret == b.ClientSecret &&
		a.PrivateKey.Equal(b.PrivateKey) && sameValues(a.TokenParams, b.TokenParams) && a.PAR == b.PAR &&
		a.Auth == b.Auth && s.sameSource(o) && a.RedirectURL == b.RedirectURL && a.Audience == b.Audience &&
		sameList(a.Scopes, b.Scopes) &&
		s.sameFunc(a.ClientSecretFrom != nil, b.ClientSecretFrom != nil, o) && s.sameFunc(a.AssertionFrom != nil, b.AssertionFrom != nil, o) &&
		a.Provider == b.Provider && a.HTTPClient == b.HTTPClient && a.Store == b.Store &&
		a.Endpoint == b.Endpoint && a.JWKSURL == b.JWKSURL && a.RevocationURL == b.RevocationURL &&
		a.Rotation == b.Rotation && a.Leeway == b.Leeway && a.Advisory == b.Advisory && a.Mandatory == b.Mandatory &&
		a.Lifetime == b.Lifetime && a.Idle == b.Idle && a.Absolute == b.Absolute && a.InsecureAllowHTTP == b.InsecureAllowHTTP &&
		s.sameFunc(a.Now != nil, b.Now != nil, o) && a.Rand == b.Rand && a.Log == b.Log &&
		s.sameFunc(a.OnChange != nil, b.OnChange != nil, o)
}

// sameFunc reports whether a function-valued field is the same in both: absent,
// or made of the same text of the configuration. The environment does not change
// while the process runs.
func (s clientSettings) sameFunc(one, other bool, o clientSettings) bool {
	return one == other && (!one || reflect.DeepEqual(s.written, o.written))
}

func (s clientSettings) sameSource(o clientSettings) bool {
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

func sameFile(a, b tokenfile.Config) bool {
	return a.Path == b.Path && a.Format == b.Format && a.Mode == b.Mode && a.MinValidity == b.MinValidity &&
		slices.Equal(a.Variables, b.Variables) && slices.Equal(a.Hook, b.Hook) && slices.Equal(a.HookEnv, b.HookEnv) &&
		a.HookTimeout == b.HookTimeout && a.HookOutput == b.HookOutput && a.HookAlways == b.HookAlways &&
		(a.Now == nil) == (b.Now == nil) && a.Log == b.Log
}

// sameList is slices.Equal where nil stands for a default and an empty list does not.
func sameList(a, b []string) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }

func sameValues(a, b url.Values) bool { return maps.EqualFunc(a, b, slices.Equal) }

func sameURLs(a, b []*url.URL) bool {
	return slices.EqualFunc(a, b, func(a, b *url.URL) bool { return a.String() == b.String() })
}
