package main

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
	"golang.org/x/oauth2"

	"example.com/tokend/internal/tokenfile"
	"example.com/tokend/pkg/flow"
)

// clientConfig is a client as file and environment write it: TOKEND_CLIENT_NAME_
// and the field's name in capitals. Durations are strings such as "30s".
type clientConfig struct {
	Issuer           string            `yaml:"issuer" split_words:"true"`
	ClientID         string            `yaml:"client_id" split_words:"true"`
	ClientSecret     string            `yaml:"client_secret" split_words:"true"`
	ClientSecretFile string            `yaml:"client_secret_file" split_words:"true"`
	Grant            string            `yaml:"grant" split_words:"true"`
	RefreshToken     string            `yaml:"refresh_token" split_words:"true"`
	RefreshTokenFile string            `yaml:"refresh_token_file" split_words:"true"`
	RedirectURI      string            `yaml:"redirect_uri" split_words:"true"`
	Scopes           []string          `yaml:"scopes" split_words:"true"`
	Audience         string            `yaml:"audience" split_words:"true"`
	Login            string            `yaml:"login" split_words:"true"`
	TokenAuth        string            `yaml:"token_auth" split_words:"true"`
	AuthorizeParams  map[string]string `yaml:"authorize_params" split_words:"true"`
	Leeway           string            `yaml:"leeway" split_words:"true"`
	Rotation         string            `yaml:"rotation" split_words:"true"`
	Refresh          refreshConfig     `yaml:"refresh" split_words:"true"`
	Hosts            []string          `yaml:"hosts" split_words:"true"`
	Upstreams        []string          `yaml:"upstreams" split_words:"true"`

	AuthorizeURL  string            `yaml:"authorize_url" split_words:"true"`
	TokenURL      string            `yaml:"token_url" split_words:"true"`
	DeviceURL     string            `yaml:"device_url" split_words:"true"`
	JwksURL       string            `yaml:"jwks_url" split_words:"true"`
	RevocationURL string            `yaml:"revocation_url" split_words:"true"`
	TokenParams   map[string]string `yaml:"token_params" split_words:"true"`
	PAR           bool              `yaml:"par" split_words:"true"`

	ClientAssertionFile  string `yaml:"client_assertion_file" split_words:"true"`
	PrivateKey           string `yaml:"private_key" split_words:"true"`
	PrivateKeyFile       string `yaml:"private_key_file" split_words:"true"`
	PrivateKeyID         string `yaml:"private_key_id" split_words:"true"`
	PrivateKeyAlg        string `yaml:"private_key_alg" split_words:"true"`
	SubjectTokenFile     string `yaml:"subject_token_file" split_words:"true"`
	SubjectTokenType     string `yaml:"subject_token_type" split_words:"true"`
	SubjectTokenSource   string `yaml:"subject_token_source" split_words:"true"`
	SubjectTokenAudience string `yaml:"subject_token_audience" split_words:"true"`
	Username             string `yaml:"username" split_words:"true"`
	Password             string `yaml:"password" split_words:"true"`
	PasswordFile         string `yaml:"password_file" split_words:"true"`
	Realm                string `yaml:"realm" split_words:"true"`

	InsecureAllowHTTP bool `yaml:"insecure_allow_http" split_words:"true"`

	Env            []string `yaml:"env" split_words:"true"`
	File           string   `yaml:"file" split_words:"true"`
	ActionsIDToken bool     `yaml:"actions_id_token" split_words:"true"`
}

// refreshConfig is when a token is refreshed.
type refreshConfig struct {
	Advisory  string `yaml:"advisory" split_words:"true"`
	Mandatory string `yaml:"mandatory" split_words:"true"`
}

// clientSettings is a client, checked.
type clientSettings struct {
	flow.Config
	login       string // "headless", "browser", "paste", "device"; "" when no login is needed
	ownRedirect bool   // the redirect URI is the default one, of the listener
	hosts       []string
	upstreams   []*url.URL

	env            []string // variables for the token of exec; nil: the default
	files          []tokenfile.Config
	actionsIDToken bool
	written        *clientConfig // what the file says of the client; settings that are functions are made of it
}

// readClient checks a client of the file, overridden by its variables.
func readClient(name string, c clientConfig, redirect string, vars variableSet, f *faults) clientSettings {
	prefix := clientPrefix + variableOf(name)
	if vars.hasPrefix(prefix + "_") {
		override(prefix, &c, f)
	}
	r := clientReader{name: name, prefix: prefix, c: c, faults: f}
	before := len(*f)
	s := clientSettings{ownRedirect: c.RedirectURI == "", env: r.env(), actionsIDToken: c.ActionsIDToken}
	if c.File != "" {
		s.files = []tokenfile.Config{{Path: c.File}}
	}
	s.Config = flow.Config{
		Name: name, Issuer: r.required("issuer", c.Issuer), ClientID: r.required("client_id", c.ClientID),
		RedirectURL: or(c.RedirectURI, redirect), Audience: c.Audience, Scopes: scopes(c.Scopes),
		Auth:       flow.AuthMethod(r.oneOf("token_auth", c.TokenAuth, "", "post", "basic", "private_key_jwt", "none")),
		PrivateKey: r.privateKey(),
		Rotation:   flow.Rotation(r.oneOf("rotation", c.Rotation, "", "on", "off")),
		Leeway:     r.duration("leeway", c.Leeway),
		Advisory:   r.duration("refresh.advisory", c.Refresh.Advisory), Mandatory: r.duration("refresh.mandatory", c.Refresh.Mandatory),
		InsecureAllowHTTP: c.InsecureAllowHTTP,

		Endpoint: oauth2.Endpoint{AuthURL: c.AuthorizeURL, TokenURL: c.TokenURL, DeviceAuthURL: c.DeviceURL},
		JWKSURL:  c.JwksURL, RevocationURL: c.RevocationURL, TokenParams: values(c.TokenParams), PAR: c.PAR,
	}
	s.ClientSecret, s.ClientSecretFrom = r.clientSecret()
	s.AssertionFrom = r.assertion()
	s.Source, s.login = r.source()
	s.hosts = r.hosts()
	s.upstreams = r.upstreams()
	judged := s.Config
	if len(*f) > before {
		judged = withoutFaulty(judged)
	}
	_, err := flow.New(judged)
	r.refused(err)
	return s
}

// withoutFaulty is a client that had faults, for the rest of it to be judged:
// what is missing is filled in, and source and secrets were read in vain perhaps.
func withoutFaulty(c flow.Config) flow.Config {
	c.Issuer, c.ClientID = or(c.Issuer, "https://missing.invalid/"), or(c.ClientID, "missing")
	c.ClientSecret, c.PrivateKey, c.Auth, c.Rotation = "", nil, "", ""
	c.ClientSecretFrom, c.AssertionFrom = nil, nil
	if _, code := c.Source.(flow.AuthorizationCode); !code {
		c.Source, c.TokenParams = nil, nil
	}
	return c
}

// override reads a client's variables over what the file says. A secret in a
// variable puts both forms of the file's aside.
func override(prefix string, c *clientConfig, f *faults) {
	given := func(name string) bool { _, ok := os.LookupEnv(prefix + name); return ok }
	c.overridden(given)
	var parse *envconfig.ParseError
	if err := envconfig.Process(prefix, c); errors.As(err, &parse) {
		hint := "true or false"
		if strings.HasSuffix(parse.KeyName, "_PARAMS") {
			hint = "name:value,name:value"
		}
		f.add(hint, "%s is %q", parse.KeyName, parse.Value)
	}
}

// scopes takes them separated by spaces too, as OAuth writes them.
func scopes(list []string) []string {
	if list == nil {
		return nil
	}
	return strings.Fields(strings.Join(list, " "))
}

// clientReader reports what is wrong with one client.
type clientReader struct {
	name, prefix string
	c            clientConfig
	faults       *faults
}

func (r clientReader) fault(hint, format string, args ...any) {
	r.faults.add(hint, "client "+r.name+": "+format, args...)
}

// variable is the name of a field in the environment.
func (r clientReader) variable(field string) string {
	return r.prefix + "_" + strings.ToUpper(strings.ReplaceAll(field, ".", "_"))
}

func (r clientReader) required(field, value string) string {
	if value == "" {
		r.fault("set clients."+r.name+"."+field+" or "+r.variable(field), "%s is missing", field)
	}
	return value
}

// secret reads a secret from the file or the variables; a credential has the
// variable's name.
func (r clientReader) secret(field, value, file string) flow.Secret {
	name := field
	if file == "" && value == "" && credential(r.variable(field)) != "" {
		name = r.variable(field)
	}
	var f faults
	s := secretOf(name, value, file, &f)
	for _, fault := range f {
		r.fault(fault.hint, "%s", fault.text)
	}
	return s
}

// clientSecret returns the client's secret, or of one in a file a function that
// reads it at each use: another program may renew it. The file was read once here,
// so that a missing one is a config error.
func (r clientReader) clientSecret() (flow.Secret, func(context.Context) (flow.Secret, error)) {
	const field = "client_secret"
	s := r.secret(field, r.c.ClientSecret, r.c.ClientSecretFile)
	file := r.c.ClientSecretFile
	if file == "" && r.c.ClientSecret == "" {
		file = credential(r.variable(field))
	}
	if s == "" || file == "" {
		return s, nil
	}
	return "", func(context.Context) (flow.Secret, error) { return readSecret(file) }
}

// hosts are those that credential helpers may hand the token to.
func (r clientReader) hosts() []string {
	var hosts []string
	for _, h := range r.c.Hosts {
		h = strings.TrimSpace(h)
		if !hostEntry.MatchString(h) {
			r.fault("such as git.example.com, git.example.com:8443 or user@git.example.com", "hosts: %q is no host", h)
			continue
		}
		hosts = append(hosts, h)
	}
	return hosts
}

func (r clientReader) oneOf(field, value string, allowed ...string) string {
	for _, a := range allowed {
		if value == a {
			return value
		}
	}
	r.fault("one of "+strings.TrimPrefix(strings.Join(allowed, ", "), ", "), "%s %q is not supported", field, value)
	return ""
}

func (r clientReader) duration(field, value string) time.Duration {
	if value == "" || value == "0" {
		return 0
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		r.fault(`such as "30s" or "15m"`, "%s %q is not a duration", field, value)
		return 0
	}
	return d
}

// upstreams are the APIs that may be sent the client's token.
func (r clientReader) upstreams() []*url.URL {
	var list []*url.URL
	for _, raw := range r.c.Upstreams {
		u, err := flow.ParseUpstream(strings.TrimSpace(raw), r.c.InsecureAllowHTTP)
		if err != nil {
			r.refused(err)
			continue
		}
		list = append(list, u)
	}
	return list
}

// env has the variables that exec puts the token in.
func (r clientReader) env() []string {
	for _, name := range r.c.Env {
		if why := badVariable(name); why != "" {
			r.fault("such as AUTH0_API_TOKEN", "env %q %s", name, why)
		}
	}
	return r.c.Env
}

// refused reports what flow refuses of a client.
func (r clientReader) refused(err error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if ok {
		for _, e := range joined.Unwrap() {
			r.refused(e)
		}
		return
	}
	var e *flow.Error
	switch {
	case err == nil:
	case errors.As(err, &e):
		r.fault(e.Hint, "%s", or(e.Description, string(e.Class)))
	default:
		r.fault("", "%v", err)
	}
}
