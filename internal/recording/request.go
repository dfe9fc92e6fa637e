package recording

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"example.com/tokend/pkg/contract"
)

type contractRequest = contract.Request

// recordedState is the state of recorded authorization requests.
const recordedState = "recorded-state"

// Values of a secret that the issuer refused, or did not issue.
const (
	wrongSecret = "wrong-secret"
	unknown     = "unknown-value"
)

// harmless are the parameters whose values are kept.
var harmless = []string{
	"grant_type", "response_type", "response_mode", "scope", "prompt", "code_challenge_method", "token_type_hint", "max_age", "screen_hint",
}

// ownVariables are the parameters that have a variable of the same kind in each case.
var ownVariables = map[string]string{
	"client_id": "client_id", "redirect_uri": "redirect_uri", "audience": "audience", "nonce": "nonce",
	"code_challenge": "challenge", "code_verifier": "verifier", "username": "username", "login_hint": "username",
}

// issuedParameters are the parameters that hold a value of the issuer.
var issuedParameters = []string{"code", "refresh_token", "device_code", "token", "id_token_hint"}

// redacted is a request with placeholders, and the grant of its secrets.
type redacted struct {
	contractRequest
	grant   *grant
	unknown bool // it has a code or token that no recorded login led to
}

// request returns the request with placeholders, or why it cannot be a case.
func (r *Recorder) request(x *exchange) (redacted, string) {
	out := redacted{contractRequest: contractRequest{Method: x.method, Path: x.path}}
	why := ""
	values := func(in url.Values) map[string]string {
		if len(in) == 0 {
			return nil
		}
		m := map[string]string{}
		for name, list := range in {
			value, known := r.parameter(x, &out, name, list[0])
			if !known || len(list) > 1 {
				why = "parameter with unknown content"
			}
			m[name] = value
		}
		return m
	}
	out.Query, out.Form = values(x.query), values(x.form)
	if x.header.Get("DPoP") != "" {
		why = "DPoP proof"
	}
	if scheme, credentials, sent := strings.Cut(x.header.Get("Authorization"), " "); sent {
		out.Headers = map[string]string{"Authorization": scheme + " " + r.credentials(x, &out, scheme, credentials)}
	}
	if len(out.Form) > 0 {
		if out.Headers == nil {
			out.Headers = map[string]string{}
		}
		out.Headers["Content-Type"] = "application/x-www-form-urlencoded"
	}
	return out, why
}

// parameter returns what replaces the value of a parameter. known is false for a
// parameter that may hold anything.
func (r *Recorder) parameter(x *exchange, out *redacted, name, value string) (placeholder string, known bool) {
	variable := ownVariables[name]
	switch {
	case slices.Contains(harmless, name):
		return value, harmlessText(value)
	case variable != "":
		return "{{" + variable + "}}", true
	case name == "state":
		return recordedState, true
	case name == "client_secret", name == "password":
		return r.password(x, name, value), true
	case slices.Contains(issuedParameters, name):
		return r.issued(out, value), true
	}
	return "", false
}

// harmlessText reports whether a value can be a word of the protocol or a scope.
func harmlessText(s string) bool { return len(s) < 1000 && !looksSecret.MatchString(s) }

// password returns the placeholder of a client secret or password: the variable if a
// request with it has succeeded.
func (r *Recorder) password(x *exchange, name, value string) string {
	key := sha256.Sum256([]byte(name + "\x00" + value))
	if x.status < http.StatusBadRequest {
		r.grants.working[key] = true
	}
	if r.grants.working[key] || x.status != http.StatusUnauthorized {
		return "{{" + name + "}}"
	}
	return wrongSecret
}

// issued returns the variable of a value that the issuer issued.
func (r *Recorder) issued(out *redacted, value string) string {
	s := r.grants.find(value)
	if s == nil {
		out.unknown = true
		return unknown
	}
	out.grant = s.grant
	return "{{" + s.name + "}}"
}

// credentials returns what replaces the credentials of an Authorization header.
func (r *Recorder) credentials(x *exchange, out *redacted, scheme, value string) string {
	if !strings.EqualFold(scheme, "Basic") {
		return r.issued(out, value)
	}
	raw, _ := base64.StdEncoding.DecodeString(value)
	_, secret, _ := strings.Cut(string(raw), ":")
	if secret, err := url.QueryUnescape(secret); err == nil && r.password(x, "client_secret", secret) != wrongSecret {
		return "{{basic}}"
	}
	return base64.StdEncoding.EncodeToString([]byte("wrong:" + wrongSecret))
}

// leaksInto reports whether a case has a secret of the exchange, wherever an issuer may
// have repeated it.
func (x *exchange) leaksInto(text []byte) bool {
	var values []string
	for _, form := range []url.Values{x.query, x.form} {
		for name, list := range form {
			if !slices.Contains(harmless, name) && ownVariables[name] == "" {
				values = append(values, list...)
			}
		}
	}
	values = append(values, x.header.Values("Authorization")...)
	for _, c := range append((&http.Request{Header: x.header}).Cookies(), (&http.Response{Header: x.answer}).Cookies()...) {
		values = append(values, c.Value)
	}
	return slices.ContainsFunc(values, func(v string) bool { return len(v) >= 16 && strings.Contains(string(text), v) })
}

func sameExchange(a, b contract.Case) bool {
	return reflect.DeepEqual(a.Request, b.Request) && slices.Equal(a.Setup, b.Setup) && a.Status == b.Status &&
		reflect.DeepEqual(a.Authorize, b.Authorize)
}
