package main

import (
	"net/url"
	"os"
	"slices"
	"strings"

	"example.com/tokend/pkg/flow"
)

// grants are the ways to a grant, the default first.
var grants = []string{"authorization_code", "refresh_token", "client_credentials", "device_code", "password", "token_exchange"}

// source is how the client's grant is had, and how a person signs in, "" where
// that needs nobody.
func (r clientReader) source() (flow.Source, string) {
	grant := r.oneOf("grant", r.c.Grant, append([]string{""}, grants...)...)
	login := r.oneOf("login", r.c.Login, "", "headless", "browser", "paste", "device")
	if grant == "" && login == "device" {
		grant = "device_code"
	}
	grant = or(grant, grants[0])
	if login != "" && (login == "device") != (grant == "device_code") {
		r.fault("leave it out, or set grant: device_code with login: device", "login %q is of no use with grant %s", login, grant)
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
	params := url.Values{}
	for k, v := range r.c.AuthorizeParams {
		params.Set(k, v)
	}
	return flow.AuthorizationCode{Headless: login == "headless", Params: params}, or(login, "browser")
}

// present reports a secret that is missing; one whose file has a fault was
// reported.
func (r clientReader) present(field string, value flow.Secret, file string) {
	if value == "" && file == "" && credential(r.variable(field)) == "" {
		r.fault("set "+field+"_file or "+r.variable(field), "%s is missing", field)
	}
}

// unused reports fields of other grants: whoever set one expects something of it.
func (r clientReader) unused(grant string) {
	for _, f := range []struct{ field, grant, value string }{
		{"refresh_token", "refresh_token", r.c.RefreshToken + r.c.RefreshTokenFile},
		{"username", "password", r.c.Username},
		{"password", "password", r.c.Password + r.c.PasswordFile},
		{"realm", "password", r.c.Realm},
		{"subject_token_file", "token_exchange", r.c.SubjectTokenFile},
		{"subject_token_type", "token_exchange", r.c.SubjectTokenType},
		{"subject_token_source", "token_exchange", r.c.SubjectTokenSource},
		{"subject_token_audience", "token_exchange", r.c.SubjectTokenAudience},
	} {
		if f.value != "" && f.grant != grant {
			r.fault("set grant: "+f.grant+", or take it out", "%s is of no use with grant %s", f.field, grant)
		}
	}
}

// exchange is where the token that is exchanged comes from.
func (r clientReader) exchange() flow.Source {
	c := r.c
	s := flow.Exchange{SubjectTokenFile: c.SubjectTokenFile, SubjectTokenType: r.required("subject_token_type", c.SubjectTokenType)}
	from := r.oneOf("subject_token_source", c.SubjectTokenSource, "", "file", "github-actions")
	switch {
	case c.SubjectTokenSource != from: // reported
	case from == "github-actions" && c.SubjectTokenFile != "":
		r.fault("set one of them", "both subject_token_file and subject_token_source: github-actions are set")
	case from == "github-actions":
		token, err := flow.GitHubActions(os.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), flow.Secret(os.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")), c.SubjectTokenAudience)
		r.refused(err)
		s.SubjectToken = token
	case c.SubjectTokenFile == "":
		r.fault("set it, or subject_token_source: github-actions", "subject_token_file is missing")
	case c.SubjectTokenAudience != "":
		r.fault("it is asked of GitHub: set subject_token_source: github-actions, or take it out", "subject_token_audience is of no use with subject_token_file")
	}
	return s
}

// privateKey is the key of private_key_jwt, nil without one.
func (r clientReader) privateKey() *flow.PrivateKey {
	c := r.c
	text := r.secret("private_key", c.PrivateKey, c.PrivateKeyFile)
	switch {
	case c.TokenAuth != "private_key_jwt" && c.PrivateKey+c.PrivateKeyFile+c.PrivateKeyID+c.PrivateKeyAlg != "":
		r.fault("set token_auth: private_key_jwt, or take it out", "private_key is of no use with token_auth %s", or(c.TokenAuth, "post"))
		return nil
	case c.TokenAuth != "private_key_jwt":
		return nil
	case text == "":
		r.present("private_key", text, c.PrivateKeyFile)
		return nil
	}
	key, err := flow.ParsePrivateKey(text, c.PrivateKeyID, c.PrivateKeyAlg)
	if err != nil {
		r.refused(err)
		return nil
	}
	return key
}

// overridden puts both forms of a secret of the file aside where a variable
// gives one, and with it the other way to a subject token.
func (c *clientConfig) overridden(given func(name string) bool) {
	for name, forms := range map[string][]*string{
		"_CLIENT_SECRET": {&c.ClientSecret, &c.ClientSecretFile}, "_REFRESH_TOKEN": {&c.RefreshToken, &c.RefreshTokenFile},
		"_PASSWORD": {&c.Password, &c.PasswordFile}, "_PRIVATE_KEY": {&c.PrivateKey, &c.PrivateKeyFile},
	} {
		if given(name) || given(name+"_FILE") {
			for _, form := range forms {
				*form = ""
			}
		}
	}
	if given("_SUBJECT_TOKEN_FILE") || given("_SUBJECT_TOKEN_SOURCE") {
		c.SubjectTokenFile, c.SubjectTokenSource, c.SubjectTokenAudience = "", "", ""
	}
}

// holdsSecret says whether a secret stands in the client's own part of the file.
func (c clientConfig) holdsSecret() bool {
	return slices.ContainsFunc([]string{c.ClientSecret, c.RefreshToken, c.Password, c.PrivateKey}, func(s string) bool {
		return strings.TrimSpace(s) != ""
	})
}
