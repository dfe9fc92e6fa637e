package config

import (
	"cmp"
	"context"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"example.com/tokend/pkg/flow"
)

// source returns how the client gets its grant, and how a person logs in: "" if no
// person does.
func (r clientReader) source() (flow.Source, string) {
	grant, login := r.oneOf("grant", r.c.Grant), r.oneOf("login", r.c.Login)
	if grant == "" && login == "device" {
		grant = "device_code"
	}
	grant = cmp.Or(grant, choices(r.fields, "grant")[0])
	byLogin := grant == "authorization_code" || grant == "device_code"
	if login != "" && byLogin && (login == "device") != (grant == "device_code") {
		r.fault("login", "leave it out, or set grant: device_code with login: device", "login %q has no effect with grant %s", login, grant)
	}
	r.unused(grant)
	switch grant {
	case "refresh_token":
		seed := r.secret("refresh_token", r.c.RefreshToken, r.c.RefreshTokenFile)
		r.present("refresh_token", seed, r.c.RefreshTokenFile)
		return flow.Seed{RefreshToken: seed}, ""
	case "client_credentials":
		return flow.ClientCredentials{}, ""
	case "device_code":
		return flow.Device{}, "device"
	case "password":
		password := r.secret("password", r.c.Password, r.c.PasswordFile)
		r.present("password", password, r.c.PasswordFile)
		return flow.Password{Username: r.required("username", r.c.Username), Password: password, Realm: r.c.Realm}, ""
	case "token_exchange":
		return r.exchange(), ""
	}
	return flow.AuthorizationCode{Headless: login == "headless", Params: values(r.c.AuthorizeParams)}, cmp.Or(login, "browser")
}

func values(params map[string]string) url.Values {
	if len(params) == 0 {
		return nil
	}
	v := url.Values{}
	for name, value := range params {
		v.Set(name, value)
	}
	return v
}

// present records a fault for a missing secret. A bad file of one has a fault already.
func (r clientReader) present(field string, value flow.Secret, file string) {
	if value == "" && file == "" && r.env.credential(r.variable(field)) == "" {
		r.fault(field, "set "+field+"_file or "+r.variable(field), "%s is missing", field)
	}
}

// unused reports settings that have no effect with the client's grant.
func (r clientReader) unused(grant string) {
	v := reflect.ValueOf(r.c).Elem()
	for _, f := range r.fields {
		if f.with != nil && !slices.Contains(f.with, grant) && !v.Field(f.index).IsZero() {
			r.fault(f.name, "remove it, or set grant: "+strings.Join(f.with, " or "), "%s has no effect with grant %s", f.name, grant)
		}
	}
}

// exchange returns the source of a token exchange.
func (r clientReader) exchange() flow.Source {
	c := r.c
	s := flow.Exchange{SubjectTokenFile: c.SubjectTokenFile, SubjectTokenType: r.required("subject_token_type", c.SubjectTokenType)}
	from := r.oneOf("subject_token_source", c.SubjectTokenSource)
	switch {
	case c.SubjectTokenSource != from: // has a fault already
	case from == "github-actions" && c.SubjectTokenFile != "":
		r.fault("subject_token_source", "set one of them", "both subject_token_file and subject_token_source: github-actions are set")
	case from == "github-actions":
		token, err := flow.GitHubActions(r.env.Get("ACTIONS_ID_TOKEN_REQUEST_URL"), flow.Secret(r.env.Get("ACTIONS_ID_TOKEN_REQUEST_TOKEN")), c.SubjectTokenAudience)
		r.refused("subject_token_source", err)
		s.SubjectToken = token
	case c.SubjectTokenFile == "":
		r.fault("subject_token_file", "set it, or subject_token_source: github-actions", "subject_token_file is missing")
	case c.SubjectTokenAudience != "":
		r.fault("subject_token_audience", "set subject_token_source: github-actions, or remove it", "subject_token_audience has no effect with subject_token_file")
	}
	return s
}

// assertion returns a reader of the client assertion that another program signs;
// nil without one. The file is read once here, so that a missing one is a config
// error.
func (r clientReader) assertion() func(context.Context) (flow.Secret, error) {
	c := r.c
	switch {
	case c.ClientAssertionFile == "":
		return nil
	case c.TokenAuth != "private_key_jwt":
		r.fault("client_assertion_file", "set token_auth: private_key_jwt, or remove it", "client_assertion_file has no effect with token_auth %s", r.tokenAuth())
		return nil
	}
	from := flow.TokenFile(c.ClientAssertionFile)
	if _, err := from(context.Background()); err != nil {
		r.refused("client_assertion_file", err)
	}
	return from
}

// tokenAuth returns the configured client authentication, or the default.
func (r clientReader) tokenAuth() string {
	if r.c.TokenAuth == "" && r.c.ClientSecret+r.c.ClientSecretFile+r.env.credential(r.variable("client_secret")) == "" {
		return "none"
	}
	return cmp.Or(r.c.TokenAuth, "post")
}

// privateKey returns the key of private_key_jwt, nil without one.
func (r clientReader) privateKey() *flow.PrivateKey {
	c := r.c
	text := r.secret("private_key", c.PrivateKey, c.PrivateKeyFile)
	given := []struct{ setting, value string }{
		{"private_key", c.PrivateKey}, {"private_key_file", c.PrivateKeyFile}, {"private_key_id", c.PrivateKeyID}, {"private_key_alg", c.PrivateKeyAlg},
	}
	switch {
	case c.TokenAuth != "private_key_jwt":
		for _, g := range given {
			if g.value != "" {
				r.fault(g.setting, "set token_auth: private_key_jwt, or remove it", "%s has no effect with token_auth %s", g.setting, r.tokenAuth())
			}
		}
		return nil
	case c.ClientAssertionFile != "":
		for _, g := range given {
			if g.value != "" {
				r.fault(g.setting, "set one of them", "%s has no effect with client_assertion_file", g.setting)
			}
		}
		return nil
	case text == "":
		r.present("private_key", text, c.PrivateKeyFile)
		return nil
	}
	key, err := flow.ParsePrivateKey(text, c.PrivateKeyID, c.PrivateKeyAlg)
	if err != nil {
		r.refused("private_key", err)
		return nil
	}
	return key
}

// overridden drops a secret of the file, in both forms, when a variable sets it, and in
// the same way the file's source of subject tokens.
func (c *clientSchema) overridden(given func(field string) bool) {
	for field, forms := range map[string][]*string{
		"client_secret": {&c.ClientSecret, &c.ClientSecretFile}, "refresh_token": {&c.RefreshToken, &c.RefreshTokenFile},
		"password": {&c.Password, &c.PasswordFile}, "private_key": {&c.PrivateKey, &c.PrivateKeyFile},
	} {
		if given(field) || given(field+"_file") {
			for _, form := range forms {
				*form = ""
			}
		}
	}
	if given("subject_token_file") || given("subject_token_source") {
		c.SubjectTokenFile, c.SubjectTokenSource, c.SubjectTokenAudience = "", "", ""
	}
}

// holdsSecret reports whether the client's part of the file contains a secret.
func (c clientSchema) holdsSecret() bool {
	return slices.ContainsFunc([]string{c.ClientSecret, c.RefreshToken, c.Password, c.PrivateKey}, func(s string) bool {
		return strings.TrimSpace(s) != ""
	})
}

// sameSeeds refuses two clients that start from the same refresh token: when it
// rotates, the second use of it revokes the grants of both.
func (l *loader) sameSeeds(clients []Client) {
	first := map[flow.Secret]string{}
	for _, c := range clients {
		s, ok := c.Source.(flow.Seed)
		if !ok || s.RefreshToken == "" {
			continue
		}
		if other, taken := first[s.RefreshToken]; taken {
			l.add("clients."+c.Name+".refresh_token", "give each client a refresh token of its own", "clients %s and %s have the same refresh_token", other, c.Name)
			continue
		}
		first[s.RefreshToken] = c.Name
	}
}
