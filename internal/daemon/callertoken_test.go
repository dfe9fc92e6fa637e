package daemon

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/guard"
	"example.com/tokend/pkg/flow"
)

// An issuer that does not answer makes no token invalid: the caller may try again.
func TestVerifier_IssuerUnreachable_IsUnavailable(t *testing.T) {
	const issuer = "http://127.0.0.1:1/"
	v, err := flow.NewVerifier(flow.ProviderConfig{Issuer: issuer})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	part := base64.RawURLEncoding.EncodeToString
	token := part([]byte(`{"alg":"RS256","kid":"k"}`)) + "." +
		part([]byte(`{"iss":"`+issuer+`","sub":"s","aud":"tokend","exp":`+strconv.FormatInt(time.Now().Add(time.Minute).Unix(), 10)+`}`)) + "." + part([]byte("canary-signature"))
	_, err = verifier{v}.Verify(t.Context(), token)
	var unavailable *guard.Unavailable
	if !errors.As(err, &unavailable) || strings.Contains(err.Error(), part([]byte("canary-signature"))) {
		t.Errorf("%T %v, want guard.Unavailable", err, err)
	}
}
