package config

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
	"golang.org/x/oauth2"

	"example.com/tokend/internal/tokenfile"
	"example.com/tokend/pkg/flow"
)

// Client is a checked client.
type Client struct {
	flow.Config
	Login       string   // "headless", "browser", "paste", "device"; "" when no login is needed
	OwnRedirect bool     // the redirect URI is the default one, of the listener
	Hosts       []string // that credential helpers may give the token to
	Upstreams   []*url.URL

	Env            []string // variables for the token of exec; nil: the default
	Files          []tokenfile.Config
	ActionsIDToken bool

	from sources
}

// sources are the settings that the functions of a client's [flow.Config] are made from.
// Functions cannot be compared.
type sources struct{ secretFile, assertionFile, subjectToken, subjectAudience string }

// readClient checks a client of the file, with its variables over it.
func (l *loader) readClient(name string, c clientSchema, redirect string) Client {
	r := clientReader{loader: l, name: name}
	if l.variables.hasPrefix(r.prefix() + "_") {
		r.override(&c)
	}
	for _, text := range []*string{&c.Issuer, &c.Audience, &c.ClientSecretFile, &c.RedirectURI} {
		*text = l.common(*text)
	}
	r.c = &c
	if l.written != nil {
		l.written.clients[name] = c
	}
	before := len(l.faults)
	s := Client{OwnRedirect: c.RedirectURI == "", Env: r.tokenVariables(), ActionsIDToken: c.ActionsIDToken}
	if c.File != "" {
		s.Files = []tokenfile.Config{{Path: c.File}}
	}
	s.Config = flow.Config{
		Name: name, Issuer: r.required("issuer", c.Issuer), ClientID: r.required("client_id", c.ClientID),
		RedirectURL: cmp.Or(c.RedirectURI, redirect), Audience: c.Audience, Scopes: scopes(c.Scopes),
		Auth:       flow.AuthMethod(r.oneOf("token_auth", c.TokenAuth)),
		PrivateKey: r.privateKey(),
		Rotation:   flow.Rotation(r.oneOf("rotation", c.Rotation)),
		Leeway:     r.duration("leeway", c.Leeway),
		Advisory:   r.duration("refresh.advisory", c.Refresh.Advisory), Mandatory: r.duration("refresh.mandatory", c.Refresh.Mandatory),
		Lifetime: r.duration("lifetime", c.Lifetime), Idle: r.duration("idle", c.Idle), Absolute: r.duration("absolute", c.Absolute),
		InsecureAllowHTTP: c.InsecureAllowHTTP,

		Endpoint: oauth2.Endpoint{AuthURL: c.AuthorizeURL, TokenURL: c.TokenURL, DeviceAuthURL: c.DeviceURL},
		JWKSURL:  c.JwksURL, RevocationURL: c.RevocationURL, TokenParams: values(c.TokenParams), PAR: c.PAR, Resources: c.Resources,
	}
	s.from = sources{assertionFile: c.ClientAssertionFile, subjectToken: c.SubjectTokenSource, subjectAudience: c.SubjectTokenAudience}
	s.ClientSecret, s.ClientSecretFrom, s.from.secretFile = r.clientSecret()
	s.AssertionFrom = r.assertion()
	s.Source, s.Login = r.source()
	s.Hosts = r.hosts()
	s.Upstreams = r.upstreams()
	checked := s.Config
	if len(l.faults) > before {
		checked = withoutFaulty(checked)
	}
	r.refused("", checked.Check())
	return s
}

// withoutFaulty replaces settings with faults, so that flow checks the others: it
// fills in missing ones and drops those that could not be read.
func withoutFaulty(c flow.Config) flow.Config {
	c.Issuer, c.ClientID = cmp.Or(c.Issuer, "https://missing.invalid/"), cmp.Or(c.ClientID, "missing")
	c.ClientSecret, c.PrivateKey, c.Auth, c.Rotation = "", nil, "", ""
	c.ClientSecretFrom, c.AssertionFrom = nil, nil
	if _, code := c.Source.(flow.AuthorizationCode); !code {
		c.Source, c.TokenParams = nil, nil
	}
	return c
}

// override reads a client's variables over what the file says. A secret in a
// variable replaces both forms of the file's.
func (r clientReader) override(c *clientSchema) {
	c.overridden(func(field string) bool { _, set := r.env.Lookup(r.variable(field)); return set })
	var parse *envconfig.ParseError
	if err := r.env.Process(r.prefix(), c); errors.As(err, &parse) {
		hint := "true or false"
		if strings.HasSuffix(parse.KeyName, "_PARAMS") {
			hint = "name:value,name:value"
		}
		field := strings.ToLower(strings.TrimPrefix(parse.KeyName, r.prefix()+"_"))
		r.add(r.setting(field), hint, "%s is %q", parse.KeyName, parse.Value)
	}
}

// scopes splits elements at spaces, too: OAuth separates scopes so.
func scopes(list []string) []string {
	if list == nil {
		return nil
	}
	return strings.Fields(strings.Join(list, " "))
}

// clientReader reports what is wrong with one client.
type clientReader struct {
	*loader
	name string
	c    *clientSchema
}

// setting is the full name of a setting of the client.
func (r clientReader) setting(field string) string {
	if field == "" {
		return "clients." + r.name
	}
	return "clients." + r.name + "." + field
}

// prefix begins the variables of the client.
func (r clientReader) prefix() string { return clientPrefix + VariableOf(r.name) }

// variable is the name of a setting in the environment.
func (r clientReader) variable(field string) string { return variableOfSetting(r.setting(field)) }

func (r clientReader) fault(field, hint, format string, args ...any) {
	r.add(r.setting(field), hint, "client "+r.name+": "+format, args...)
}

func (r clientReader) required(field, value string) string {
	if value == "" {
		r.fault(field, "set "+r.setting(field)+" or "+r.variable(field), "%s is missing", field)
	}
	return value
}

// secret reads a secret from the file, a variable, or the systemd credential with the
// variable's name.
func (r clientReader) secret(field, value, file string) flow.Secret {
	name := field
	if file == "" && value == "" && r.env.credential(r.variable(field)) != "" {
		name = r.variable(field)
	}
	return r.secretOf(r.setting(field), "client "+r.name+": ", name, value, file)
}

// clientSecret returns the client's secret, or for a file a function that reads it at
// each use, because another program may replace it, and the file. It reads the file once
// here, so that a missing one is a config error.
func (r clientReader) clientSecret() (s flow.Secret, from func(context.Context) (flow.Secret, error), file string) {
	const field = "client_secret"
	s = r.secret(field, r.c.ClientSecret, r.c.ClientSecretFile)
	if file = r.c.ClientSecretFile; file == "" && r.c.ClientSecret == "" {
		file = r.env.credential(r.variable(field))
	}
	if s == "" || file == "" {
		return s, nil, ""
	}
	return "", func(context.Context) (flow.Secret, error) { return ReadSecret(file) }, file
}

// withoutPassword returns a host as an error shows it.
func withoutPassword(host string) string {
	at := strings.LastIndex(host, "@")
	if user, _, ok := strings.Cut(host[:max(at, 0)], ":"); ok {
		return user + ":xxxxx" + host[at:]
	}
	return host
}

// hosts checks the hosts that credential helpers may give the token to.
func (r clientReader) hosts() []string {
	var hosts []string
	for _, h := range r.c.Hosts {
		h = strings.TrimSpace(h)
		if !ValidHost(h) {
			r.fault("hosts", "such as git.example.com, git.example.com:8443 or user@git.example.com", "hosts: %q is not a host", withoutPassword(h))
			continue
		}
		hosts = append(hosts, h)
	}
	return hosts
}

// oneOf returns a setting's value, "" when the schema does not have it.
func (r clientReader) oneOf(field, value string) string {
	allowed := choices(r.fields, field)
	if value == "" || slices.Contains(allowed, value) {
		return value
	}
	r.fault(field, "one of "+strings.Join(allowed, ", "), "%s %q is not supported", field, value)
	return ""
}

func (r clientReader) duration(field, value string) time.Duration {
	d, ok := duration(value)
	if !ok {
		r.fault(field, durationHint, "%s %q is not a duration", field, value)
	}
	return d
}

const durationHint = `such as "30s" or "15m"`

// duration reads a duration; "" is 0.
func duration(value string) (d time.Duration, ok bool) {
	if value == "" || value == "0" {
		return 0, true
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return 0, false
	}
	return d, true
}

// upstreams are the APIs that may be sent the client's token.
func (r clientReader) upstreams() []*url.URL {
	var list []*url.URL
	for _, raw := range r.c.Upstreams {
		u, err := flow.ParseUpstream(strings.TrimSpace(raw), r.c.InsecureAllowHTTP)
		if err != nil {
			r.refused("upstreams", err)
			continue
		}
		list = append(list, u)
	}
	return list
}

// tokenVariables checks the variables that exec puts the token in.
func (r clientReader) tokenVariables() []string {
	for _, name := range r.c.Env {
		if why := BadVariable(name); why != "" {
			r.fault("env", "such as AUTH0_API_TOKEN", "env %q %s", name, why)
		}
	}
	return r.c.Env
}

// refused records the errors of flow; field "" is the client as a whole.
func (r clientReader) refused(field string, err error) {
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // of the error itself
	if ok {
		for _, e := range joined.Unwrap() {
			r.refused(field, e)
		}
		return
	}
	var e *flow.Error
	switch {
	case err == nil:
	case errors.As(err, &e):
		r.fault(field, e.Hint, "%s", cmp.Or(e.Description, string(e.Class)))
	default:
		r.fault(field, "", "%v", err)
	}
}
