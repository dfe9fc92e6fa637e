package config

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tokend/pkg/flow"
)

const (
	canaryPassword = "canary-user-password"
	canaryRequest  = "canary-actions-request-token"
)

// demo are variables of client demo, "FIELD=value" each.
func demo(fields ...string) []string {
	vars := []string{"TOKEND_CLIENTS=demo", "TOKEND_CLIENT_DEMO_ISSUER=https://acme.eu.auth0.com/", "TOKEND_CLIENT_DEMO_CLIENT_ID=id"}
	for _, f := range fields {
		if !strings.HasPrefix(f, "ACTIONS_") {
			f = "TOKEND_CLIENT_DEMO_" + f
		}
		vars = append(vars, f)
	}
	return vars
}

func newKeyFile(t *testing.T, dir string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), 0o600)
}

func TestGrantFaults(t *testing.T) {
	dir := t.TempDir()
	key := newKeyFile(t, dir)
	secret := write(t, filepath.Join(dir, "secret"), canaryPassword, 0o600)
	open := write(t, filepath.Join(dir, "open"), canaryPassword, 0o644)
	for name, tc := range map[string]struct {
		fields []string
		want   []string
	}{
		"device with a browser":      {[]string{"GRANT=device_code", "LOGIN=browser"}, []string{`login "browser" has no effect with grant device_code`}},
		"browser with a device":      {[]string{"GRANT=authorization_code", "LOGIN=device"}, []string{`login "device" has no effect with grant authorization_code`}},
		"password missing":           {[]string{"GRANT=password"}, []string{"username is missing", "password is missing", "TOKEND_CLIENT_DEMO_PASSWORD"}},
		"password in an open file":   {[]string{"GRANT=password", "USERNAME=u", "PASSWORD_FILE=" + open}, []string{"password_file: secret file", "open to everyone"}},
		"password twice":             {[]string{"GRANT=password", "USERNAME=u", "PASSWORD=" + canaryPassword, "PASSWORD_FILE=" + secret}, []string{"both password and password_file are set"}},
		"unused password":            {[]string{"PASSWORD=" + canaryPassword, "USERNAME=u", "REALM=r"}, []string{"password has no effect with grant authorization_code", "username has no effect", "realm has no effect"}},
		"exchange of nothing":        {[]string{"GRANT=token_exchange"}, []string{"subject_token_type is missing", "subject_token_file is missing"}},
		"exchange, type no URI":      {[]string{"GRANT=token_exchange", "SUBJECT_TOKEN_TYPE=jwt", "SUBJECT_TOKEN_FILE=f"}, []string{`"jwt" is not a URI`}},
		"exchange of two":            {[]string{"GRANT=token_exchange", "SUBJECT_TOKEN_TYPE=urn:x", "SUBJECT_TOKEN_FILE=f", "SUBJECT_TOKEN_SOURCE=github-actions"}, []string{"both subject_token_file and subject_token_source"}},
		"exchange, unknown source":   {[]string{"GRANT=token_exchange", "SUBJECT_TOKEN_TYPE=urn:x", "SUBJECT_TOKEN_SOURCE=gitlab"}, []string{`subject_token_source "gitlab" is not supported`}},
		"exchange, audience of file": {[]string{"GRANT=token_exchange", "SUBJECT_TOKEN_TYPE=urn:x", "SUBJECT_TOKEN_FILE=f", "SUBJECT_TOKEN_AUDIENCE=a"}, []string{"subject_token_audience has no effect"}},
		"not in a job":               {[]string{"GRANT=token_exchange", "SUBJECT_TOKEN_TYPE=urn:x", "SUBJECT_TOKEN_SOURCE=github-actions"}, []string{"ACTIONS_ID_TOKEN_REQUEST_URL", "id-token: write"}},
		"a job's plain URL": {
			[]string{"GRANT=token_exchange", "SUBJECT_TOKEN_TYPE=urn:x", "SUBJECT_TOKEN_SOURCE=github-actions", "ACTIONS_ID_TOKEN_REQUEST_URL=http://a.example.com/", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=" + canaryRequest},
			[]string{"ACTIONS_ID_TOKEN_REQUEST_URL is not an https URL"},
		},
		"unused subject token": {[]string{"SUBJECT_TOKEN_FILE=f", "SUBJECT_TOKEN_TYPE=urn:x"}, []string{"subject_token_file has no effect with grant authorization_code", "subject_token_type has no effect"}},
		"jwt without a key":    {[]string{"TOKEN_AUTH=private_key_jwt"}, []string{"private_key is missing", "TOKEND_CLIENT_DEMO_PRIVATE_KEY"}},
		"jwt with a secret":    {[]string{"TOKEN_AUTH=private_key_jwt", "PRIVATE_KEY_FILE=" + key, "CLIENT_SECRET=" + canarySecret}, []string{"a client secret is set"}},
		"jwt, no PEM":          {[]string{"TOKEN_AUTH=private_key_jwt", "PRIVATE_KEY_FILE=" + secret}, []string{"the private key is not PEM-encoded"}},
		"jwt, absent":          {[]string{"TOKEN_AUTH=private_key_jwt", "PRIVATE_KEY_FILE=/nonexistent"}, []string{"private_key_file: secret file /nonexistent cannot be read"}},
		"jwt, other algorithm": {[]string{"TOKEN_AUTH=private_key_jwt", "PRIVATE_KEY_FILE=" + key, "PRIVATE_KEY_ALG=ES256"}, []string{`does not sign with "ES256"`, "RS256"}},
		"unused key":           {[]string{"CLIENT_SECRET=" + canarySecret, "PRIVATE_KEY_FILE=" + key}, []string{"private_key_file has no effect with token_auth post"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := loadAt(t, t.TempDir(), demo(tc.fields...)...)
			if missing := lacking(faults, tc.want...); len(missing) > 0 {
				t.Errorf("no fault has %q:\n%v", missing, faults)
			}
			noCanary(t, faults)
		})
	}
}

// Every new field, by file and by variable, reaches the flow configuration.
func TestGrantsConfigured(t *testing.T) {
	dir := t.TempDir()
	key := newKeyFile(t, dir)
	secret := write(t, filepath.Join(dir, "secret"), canaryPassword+"\n", 0o600)
	for name, tc := range map[string]struct {
		fields map[string]string
		check  func(Client) bool
	}{
		"device": {map[string]string{"login": "device"}, func(c Client) bool { return c.Source == flow.Device{} && c.Login == "device" }},
		"device by grant": {map[string]string{"grant": "device_code"}, func(c Client) bool {
			return c.Source == flow.Device{} && c.Login == "device"
		}},
		"password": {map[string]string{"grant": "password", "username": "u", "password_file": secret, "realm": "staff"}, func(c Client) bool {
			return c.Source == flow.Password{Username: "u", Password: canaryPassword, Realm: "staff"} && c.Login == ""
		}},
		"exchange": {map[string]string{"grant": "token_exchange", "subject_token_type": "urn:acme:ci", "subject_token_file": "/var/run/token"}, func(c Client) bool {
			s, ok := c.Source.(flow.Exchange)
			return ok && s.SubjectTokenType == "urn:acme:ci" && s.SubjectTokenFile == "/var/run/token" && s.SubjectToken == nil
		}},
		"key": {map[string]string{"token_auth": "private_key_jwt", "private_key_file": key, "private_key_id": "key-1", "private_key_alg": "PS256"}, func(c Client) bool {
			return c.Auth == flow.AuthPrivateKeyJWT && c.PrivateKey.String() == `private key "key-1", PS256`
		}},
	} {
		check := func(t *testing.T, s Config) {
			t.Helper()
			if !tc.check(s.Clients[0]) {
				t.Errorf("%+v", s.Clients[0].Config)
			}
		}
		t.Run(name+" by file", func(t *testing.T) {
			file := goodFile
			for k, v := range maps.All(tc.fields) {
				file += "    " + k + ": " + v + "\n"
			}
			check(t, mustLoad(t, file))
		})
		t.Run(name+" by variable", func(t *testing.T) {
			var fields []string
			for k, v := range tc.fields {
				fields = append(fields, strings.ToUpper(k)+"="+v)
			}
			check(t, mustLoad(t, "", demo(fields...)...))
		})
	}
}

// A variable overrides a secret of the file, in either form.
func TestGrantVariablesOverrideTheFile(t *testing.T) {
	const file = goodFile + "    grant: password\n    username: u\n    password: of-the-file\n"
	secret := write(t, filepath.Join(t.TempDir(), "secret"), canaryPassword, 0o600)
	s := mustLoad(t, file, "TOKEND_CLIENT_DEMO_PASSWORD_FILE="+secret)
	if p, ok := s.Clients[0].Source.(flow.Password); !ok || p.Password != canaryPassword {
		t.Errorf("%+v", s.Clients[0].Source)
	}
	home, path := homeWith(t, "")
	write(t, path, file, 0o644)
	if _, faults := loadAt(t, home); !strings.Contains(faults.Error(), "open to everyone") {
		t.Errorf("a password in an open file: %v", faults)
	}
}

func TestGitHubActionsConfigured(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("audience") != "https://acme.eu.auth0.com/" || r.Header.Get("Authorization") != "Bearer "+canaryRequest {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = w.Write([]byte(`{"value":"the-jobs-token"}`))
	}))
	defer srv.Close()
	s := mustLoad(t, "", demo("GRANT=token_exchange", "SUBJECT_TOKEN_TYPE=urn:acme:ci", "SUBJECT_TOKEN_SOURCE=github-actions",
		"SUBJECT_TOKEN_AUDIENCE=https://acme.eu.auth0.com/", "ACTIONS_ID_TOKEN_REQUEST_URL="+srv.URL+"/?api-version=2.0",
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN="+canaryRequest)...)
	x, _ := s.Clients[0].Source.(flow.Exchange)
	if got, err := x.SubjectToken(context.Background()); err != nil || got != "the-jobs-token" {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
}
