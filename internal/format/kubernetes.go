package format

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// expiryMargin is how much earlier the expiry is reported to client-go, which uses
// a token until it expires: a tenth of the token's life, at most this.
const expiryMargin = 30 * time.Second

// execCredential speaks the protocol of client-go's exec plugins, see
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins.
func execCredential(ctx context.Context, p Process, r Request) ([]byte, error) {
	version, err := execVersion(p.Getenv("KUBERNETES_EXEC_INFO"))
	if err != nil {
		return nil, err
	}
	t, err := p.fetch(ctx, r)
	if err != nil {
		return nil, err
	}
	type status struct {
		Expires string `json:"expirationTimestamp"`
		Token   string `json:"token"`
	}
	early := min(expiryMargin, time.Duration(t.ExpiresIn)*time.Second/10)
	return line(string(encoded(struct {
		Version string `json:"apiVersion"`
		Kind    string `json:"kind"`
		Status  status `json:"status"`
	}{version, "ExecCredential", status{expiry(t.ExpiresAt.Add(-early)), t.AccessToken.Reveal()}}))), nil
}

// execVersion returns the API version that the client requires; it refuses any other.
func execVersion(info string) (string, error) {
	const group, newest = "client.authentication.k8s.io/", "client.authentication.k8s.io/v1"
	if info == "" {
		return newest, nil // run manually
	}
	var in struct {
		Version string `json:"apiVersion"`
		Kind    string `json:"kind"`
	}
	if err := json.Unmarshal([]byte(info), &in); err != nil || in.Kind != "ExecCredential" {
		return "", errorf(Usage, "kubectl sets it; unset it to run this manually", "KUBERNETES_EXEC_INFO is not an ExecCredential")
	}
	if in.Version != newest && in.Version != group+"v1beta1" {
		return "", errorf(Usage, fmt.Sprintf("set apiVersion: %s in the kubeconfig's exec", newest),
			"the client wants apiVersion %q", in.Version)
	}
	return in.Version, nil
}
