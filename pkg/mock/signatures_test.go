package mock_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

// countingSigner counts what it signs.
type countingSigner struct {
	crypto.Signer
	n   int
	err error
}

func (s *countingSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.n++
	if s.err != nil {
		return nil, s.err
	}
	return s.Signer.Sign(random, digest, opts)
}

func TestEqualClaimsAreSignedOnce(t *testing.T) {
	under := &countingSigner{Signer: mock.NewTestKey(embedded())}
	s := mock.Remembering(under)
	sign := func(text string, opts crypto.SignerOpts) string {
		sum := sha256.Sum256([]byte(text))
		sig, err := s.Sign(rand.Reader, sum[:], opts)
		if err != nil {
			t.Fatal(err)
		}
		return string(sig)
	}
	first := sign("a", crypto.SHA256)
	if sign("a", crypto.SHA256) != first || under.n != 1 {
		t.Errorf("the same again: signed %d times", under.n)
	}
	if sign("b", crypto.SHA256) == first || under.n != 2 {
		t.Errorf("other claims: signed %d times", under.n)
	}
	if one, other := sign("a", pssOptions), sign("a", pssOptions); one == other || under.n != 4 {
		t.Errorf("PS256 is salted: signed %d times", under.n)
	}
	for i := range mock.MaxSignatures {
		sign(strings.Repeat("c", i+1), crypto.SHA256)
	}
	under.n = 0
	if sign("a", crypto.SHA256) != first || under.n != 1 {
		t.Errorf("after %d others: signed %d times", mock.MaxSignatures, under.n)
	}
}

func TestAFailedSignatureIsTriedAgain(t *testing.T) {
	under := &countingSigner{Signer: mock.NewTestKey(embedded()), err: errors.New("broken")}
	s := mock.Remembering(under)
	if _, err := s.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); err == nil {
		t.Fatal("no error")
	}
	under.err = nil
	if sig, err := s.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); err != nil || len(sig) != 256 {
		t.Errorf("%d bytes, %v", len(sig), err)
	}
}

// As at Auth0: its access tokens have no jti, unless the API uses the RFC 9068 profile.
func TestTokensOfOneSecond(t *testing.T) {
	w := newWorld(t, mock.Config{})
	get := func() string {
		return w.post("/oauth/token", "grant_type", "client_credentials", "client_id", "demo", "client_secret", "demo-secret", "audience", api).tokens().Access
	}
	withJTI := func() string { return w.tokens("demo", "audience", "https://rfc9068.example/").Access }
	first := get()
	if get() != first {
		t.Error("two tokens of one second differ")
	}
	if one, other := withJTI(), withJTI(); one == other {
		t.Error("two tokens with a jti are the same")
	}
	w.Advance(time.Second)
	if get() == first {
		t.Error("two tokens of different seconds are the same")
	}
	if err := w.RotateKey(); err != nil {
		t.Fatal(err)
	}
	before := get()
	if err := w.RotateKey(); err != nil {
		t.Fatal(err)
	}
	if get() == before {
		t.Error("tokens of different keys are the same")
	}
}

// A signature of the key before must not be used again.
func TestARotatedKeySignsItsOwnTokens(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for range 2 {
		if err := w.RotateKey(); err != nil {
			t.Fatal(err)
		}
		if r := w.userinfo(w.tokens("demo").Access); r.status != 200 {
			t.Errorf("a token of the new key: %d %s", r.status, r.body)
		}
	}
}
