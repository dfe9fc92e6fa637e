package config

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// fill gives a field of clientSchema a value that is not its zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.ValueOf([]string{"x"}))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"x": "y"}))
	case reflect.Struct:
		fill(v.Field(0))
	}
}

var grants = []string{"authorization_code", "refresh_token", "client_credentials", "device_code", "password", "token_exchange"}

// A setting that has an effect with some grants only is a config error with
// another, which names both. A new field fails here until its tag says with which.
func TestB29_SettingWithoutEffect(t *testing.T) {
	c := reflect.TypeFor[clientSchema]()
	for i := range c.NumField() {
		setting := c.Field(i).Tag.Get("yaml")
		tag, sorted := c.Field(i).Tag.Lookup("with")
		if !sorted {
			t.Errorf("%s is not sorted: give it the tag with", setting)
		}
		with := strings.Fields(tag)
		for _, grant := range grants {
			t.Run("B29 "+setting+" with "+grant, func(t *testing.T) {
				var given clientSchema
				fill(reflect.ValueOf(&given).Elem().Field(i))
				l := &loader{env: environ(t), fields: fieldsOf[clientSchema]()}
				clientReader{loader: l, name: "demo", c: &given}.unused(grant)
				want := setting + " has no effect with grant " + grant
				if refused := strings.Contains(l.faults.Error(), want); refused != (tag != "*" && !slices.Contains(with, grant)) {
					t.Errorf("refused: %t, %v", refused, l.faults)
				}
			})
		}
	}
}

func TestB29_ExitCodeNamesSettingAndGrant(t *testing.T) {
	dir := t.TempDir()
	token := write(t, filepath.Join(dir, "jwt"), "CANARY.client.assertion", 0o644)
	key := newKeyFile(t, dir)
	machine := []string{"GRANT=client_credentials", "CLIENT_SECRET=" + canarySecret}
	for name, tc := range map[string]struct {
		fields []string
		want   string
	}{
		"B29 leeway":            {append(machine, "LEEWAY=30s"), "leeway has no effect with grant client_credentials"},
		"B29 rotation":          {append(machine, "ROTATION=on"), "rotation has no effect with grant client_credentials"},
		"B29 redirect_uri":      {append(machine, "REDIRECT_URI=http://localhost/"), "redirect_uri has no effect with grant client_credentials"},
		"B29 login":             {append(machine, "LOGIN=browser"), "login has no effect with grant client_credentials"},
		"B29 authorize_params":  {append(machine, "AUTHORIZE_PARAMS=a:b"), "authorize_params has no effect with grant client_credentials"},
		"B29 token_params":      {[]string{"TOKEN_PARAMS=organization:org_1"}, "token_params has no effect with grant authorization_code"},
		"B29 private_key_id":    {[]string{"PRIVATE_KEY_ID=k"}, "private_key_id has no effect with token_auth none"},
		"B29 private_key_alg":   {[]string{"CLIENT_SECRET=" + canarySecret, "PRIVATE_KEY_ALG=RS256"}, "private_key_alg has no effect with token_auth post"},
		"B29 assertion":         {[]string{"CLIENT_SECRET=" + canarySecret, "CLIENT_ASSERTION_FILE=" + token}, "client_assertion_file has no effect with token_auth post"},
		"B29 key and assertion": {[]string{"TOKEN_AUTH=private_key_jwt", "PRIVATE_KEY_FILE=" + key, "CLIENT_ASSERTION_FILE=" + token}, "private_key_file has no effect with client_assertion_file"},
		"assertion file":        {[]string{"TOKEN_AUTH=private_key_jwt", "CLIENT_ASSERTION_FILE=/nonexistent"}, "the client assertion file /nonexistent cannot be read"},
		"token_params, own":     {append(machine, "TOKEN_PARAMS=scope:x"), `token parameter "scope" is set by the client itself`},
		"token_params, form":    {append(machine, "TOKEN_PARAMS=scope"), "TOKEND_CLIENT_DEMO_TOKEN_PARAMS"},
		"plain token_url":       {append(machine, "TOKEN_URL=http://a.example.com/"), "token endpoint"},
		"plain jwks_url":        {[]string{"JWKS_URL=http://a.example.com/"}, "key URL"},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := loadAt(t, t.TempDir(), demo(tc.fields...)...)
			if missing := lacking(faults, tc.want, "hint: "); len(missing) > 0 {
				t.Errorf("no fault has %q: %v", missing, faults)
			}
			noCanary(t, faults)
		})
	}
}

// The new settings reach the flow configuration.
func TestEndpointsAndAssertionConfigured(t *testing.T) {
	token := write(t, filepath.Join(t.TempDir(), "jwt"), "the.client.assertion\n", 0o644)
	s := mustLoad(t, "", append(demo("GRANT=client_credentials", "TOKEN_AUTH=private_key_jwt", "CLIENT_ASSERTION_FILE="+token, "TOKEN_URL=https://a.example.com/t",
		"TOKEN_PARAMS=organization:org_1,other:x"),
		"TOKEND_CLIENTS=demo,person", "TOKEND_CLIENT_PERSON_ISSUER=https://acme.eu.auth0.com/", "TOKEND_CLIENT_PERSON_CLIENT_ID=p",
		"TOKEND_CLIENT_PERSON_AUTHORIZE_URL=https://a.example.com/a", "TOKEND_CLIENT_PERSON_JWKS_URL=https://a.example.com/k",
		"TOKEND_CLIENT_PERSON_REVOCATION_URL=https://a.example.com/r", "TOKEND_CLIENT_PERSON_PAR=true")...)
	c := s.Clients[0]
	if c.Endpoint.TokenURL != "https://a.example.com/t" || c.TokenParams.Get("organization") != "org_1" || c.TokenParams.Get("other") != "x" {
		t.Errorf("%+v", c.Config)
	}
	write(t, token, "renewed.client.assertion", 0o644)
	if got, err := c.AssertionFrom(t.Context()); err != nil || got != "renewed.client.assertion" {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
	c = s.Clients[1]
	if c.Endpoint.AuthURL != "https://a.example.com/a" || c.JWKSURL != "https://a.example.com/k" || c.RevocationURL != "https://a.example.com/r" || !c.PAR {
		t.Errorf("%+v", c.Config)
	}
}

// A client secret in a file is read at each use; a missing one is a config error.
func TestClientSecretFileIsReadAtEachUse(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "secret"), canarySecret, 0o600)
	s := mustLoad(t, "", demo("CLIENT_SECRET_FILE="+file)...)
	if secretNow(t, s.Clients[0]) != canarySecret {
		t.Fatal("another secret")
	}
	write(t, file, "renewed", 0o600)
	if got := secretNow(t, s.Clients[0]); got != "renewed" {
		t.Error("the file was not read again")
	}
	if _, faults := loadAt(t, t.TempDir(), demo("CLIENT_SECRET_FILE=/nonexistent")...); !strings.Contains(faults.Error(), "/nonexistent") {
		t.Error(faults)
	}
}

func TestTwoClientsWithTheSameSeed(t *testing.T) {
	seeds := func(one, two string) []string {
		return []string{
			"TOKEND_CLIENTS=one,two", "TOKEND_CLIENT_ONE_ISSUER=https://a.example.com/", "TOKEND_CLIENT_ONE_CLIENT_ID=a", "TOKEND_CLIENT_ONE_GRANT=refresh_token",
			"TOKEND_CLIENT_TWO_ISSUER=https://b.example.com/", "TOKEND_CLIENT_TWO_CLIENT_ID=b", "TOKEND_CLIENT_TWO_GRANT=refresh_token",
			"TOKEND_CLIENT_ONE_REFRESH_TOKEN=" + one, "TOKEND_CLIENT_TWO_REFRESH_TOKEN=" + two,
		}
	}
	_, faults := loadAt(t, t.TempDir(), seeds(canaryFresh, canaryFresh)...)
	if !strings.Contains(faults.Error(), "clients one and two have the same refresh_token") {
		t.Error(faults)
	}
	noCanary(t, faults)
	mustLoad(t, "", seeds(canaryFresh, canaryFresh+"2")...)
}
