package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"example.com/tokend/pkg/tokend"
)

// expiryMargin is how much earlier the expiry is told to client-go, which uses
// a token until the last moment: a tenth of the token's life, at most this.
const expiryMargin = 30 * time.Second

// execCredential speaks the protocol of client-go's exec plugins, see
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins.
func (p *program) execCredential(ctx context.Context, f tokenFlags) error {
	version, err := execVersion(os.Getenv("KUBERNETES_EXEC_INFO"))
	if err != nil {
		return err
	}
	t, err := p.fetch(ctx, f)
	if err != nil {
		return err
	}
	type status struct {
		Expires string `json:"expirationTimestamp"`
		Token   string `json:"token"`
	}
	early := min(expiryMargin, time.Duration(t.ExpiresIn)*time.Second/10)
	out, err := json.Marshal(struct {
		Version string `json:"apiVersion"`
		Kind    string `json:"kind"`
		Status  status `json:"status"`
	}{version, "ExecCredential", status{expiry(t.ExpiresAt.Add(-early)), t.AccessToken.Reveal()}})
	if err != nil {
		return exitWith(exitProtocol, err)
	}
	return p.print(string(out))
}

// execVersion is the API version that the client wants; it refuses any other.
func execVersion(info string) (string, error) {
	const group, newest = "client.authentication.k8s.io/", "client.authentication.k8s.io/v1"
	if info == "" {
		return newest, nil // run by hand
	}
	var in struct {
		Version string `json:"apiVersion"`
		Kind    string `json:"kind"`
	}
	if err := json.Unmarshal([]byte(info), &in); err != nil || in.Kind != "ExecCredential" {
		return "", hintf(exitUsage, "it is set by kubectl; unset it to run this by hand", "KUBERNETES_EXEC_INFO holds no ExecCredential")
	}
	if in.Version != newest && in.Version != group+"v1beta1" {
		return "", hintf(exitUsage, fmt.Sprintf("set apiVersion: %s in the kubeconfig's exec", newest),
			"the client wants apiVersion %q", in.Version)
	}
	return in.Version, nil
}

// gcpExecutable is an executable that sources Google credentials, see
// https://google.aip.dev/auth/4117. A failure is an answer, too.
func (p *program) gcpExecutable(ctx context.Context, f tokenFlags) error {
	answer, err := p.subjectToken(ctx, f)
	if err != nil {
		message := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(report(p.outOfTime(err)), "error: "), "\n"), "\n", "; ")
		answer = map[string]any{
			"version": 1, "success": false,
			"code": strconv.Itoa(exitCode(p.outOfTime(err))), "message": message,
		}
	}
	out, err := json.Marshal(answer)
	if err != nil {
		return exitWith(exitProtocol, err)
	}
	return p.print(string(out))
}

const (
	jwtType     = "urn:ietf:params:oauth:token-type:jwt"
	idTokenType = "urn:ietf:params:oauth:token-type:id_token" //nolint:gosec // a name, no token
)

// subjectToken has what GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE asks for: the access
// token, which is a JWT for an API of the tenant's, or the ID token.
func (p *program) subjectToken(ctx context.Context, f tokenFlags) (map[string]any, error) {
	kind := cmp.Or(os.Getenv("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE"), jwtType)
	if kind != jwtType && kind != idTokenType {
		return nil, hintf(exitConfig, fmt.Sprintf("%s for the access token, %s for the ID token", jwtType, idTokenType),
			"subject_token_type %q is not supported", kind)
	}
	var token string
	var expires time.Time
	var err error
	if f.IDToken = kind == idTokenType; f.IDToken {
		token, expires, err = p.freshIDToken(ctx, f)
	} else {
		var t *tokend.Token
		t, err = p.fetch(ctx, f)
		if err == nil {
			token, expires = t.AccessToken.Reveal(), t.ExpiresAt
		}
	}
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"version": 1, "success": true, "token_type": kind, "id_token": token, "expiration_time": expires.Unix(),
	}, nil
}

// freshIDToken is the ID token, or that of one refresh when it ends too soon: it
// may live shorter than the access token, which is what the service watches.
func (p *program) freshIDToken(ctx context.Context, f tokenFlags) (string, time.Time, error) {
	s, err := reach(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	t, err := p.ask(ctx, s, f)
	if err != nil {
		return "", time.Time{}, err
	}
	enough := p.clock().Add(max(f.MinValidity, time.Minute))
	expires, err := idTokenExpiry(t)
	if err != nil || expires.After(enough) {
		return t.IDToken.Reveal(), expires, err
	}
	if _, err := s.refresh(ctx, f.Client); err != nil {
		return "", expires, err
	}
	if t, err = p.ask(ctx, s, f); err != nil {
		return "", expires, err
	}
	if expires, err = idTokenExpiry(t); err == nil && !expires.After(enough) {
		err = hintf(exitConfig, "raise its lifetime at the provider",
			"the ID token of client %s ends at %s, too soon", f.Client, expiry(expires))
	}
	return t.IDToken.Reveal(), expires, err
}

// idTokenExpiry reads exp; the service has verified the token.
func idTokenExpiry(t *tokend.Token) (time.Time, error) {
	if t.IDToken == "" {
		return time.Time{}, hintf(exitConfig, "add openid to its scopes and log in again", "client %s has no ID token", t.Client)
	}
	var claims struct {
		Exp int64 `json:"exp"`
	}
	parts := strings.Split(t.IDToken.Reveal(), ".")
	if len(parts) == 3 {
		if b, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil && json.Unmarshal(b, &claims) == nil && claims.Exp > 0 {
			return time.Unix(claims.Exp, 0), nil
		}
	}
	return time.Time{}, exitf(exitProtocol, "the ID token of client %s has no expiry that can be read", t.Client)
}

// clock is the time of this machine, or of a test.
func (p *program) clock() time.Time {
	if p.now != nil {
		return p.now()
	}
	return time.Now()
}
