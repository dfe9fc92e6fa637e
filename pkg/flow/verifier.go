package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// verifierRetry is how long a verifier without metadata waits after a failed fetch, so
// that a stream of tokens does not become a stream of requests.
const verifierRetry = 5 * time.Second

// Verifier verifies signed tokens of one issuer that other programs have, such as the
// jobs of a pipeline. Its metadata, keys and connections are its own: the programs that
// send tokens cannot delay the clients of the same issuer. It is safe for concurrent use;
// [NewVerifier] returns one.
type Verifier struct {
	view view

	mu      sync.Mutex // guards what follows
	failed  time.Time
	failure error
}

// Format implements [fmt.Formatter]: what the verifier keeps of the provider is not printed.
func (v *Verifier) Format(f fmt.State, _ rune) {
	issuer := "no issuer"
	if v.view.Provider != nil { // not so in a zero value
		issuer = v.view.issuer
	}
	_, _ = io.WriteString(f, "verifier of tokens of "+issuer)
}

// Claims is what a verified token says about its subject.
type Claims struct {
	Subject  string
	Audience []string
	Expiry   time.Time
}

// NewVerifier returns the verifier of an issuer, or an error for an issuer whose
// metadata could not be trusted. It does no I/O.
func NewVerifier(c ProviderConfig) (*Verifier, error) {
	cfg := &Config{Issuer: c.Issuer}
	if c.Issuer == "" {
		return nil, configError("set it to the iss of the tokens", "the issuer is missing")
	}
	if why := cfg.checkURL(c.Issuer); why != "" {
		return nil, configError("use https://", "issuer %q %s", withoutSecrets(c.Issuer), why)
	}
	p := NewProvider(c)
	cfg.Now = p.now
	return &Verifier{view: view{Provider: p, cfg: cfg, tasks: &tasks{}}}, nil
}

// Issuer returns the issuer of the tokens.
func (v *Verifier) Issuer() string { return v.view.cfg.Issuer }

// Verify checks a token's signature, issuer and times (RFC 7519 section 7.2, RFC 8725),
// and returns its claims. It must have a subject and an audience, which the caller
// compares. Every error says what is wrong with the token, but an [*Error]: then the
// issuer's keys are not available, and the token may be good.
func (v *Verifier) Verify(ctx context.Context, raw string) (Claims, error) {
	if len(raw) > maxIDToken {
		return Claims{}, fmt.Errorf("it is larger than %d KiB", maxIDToken>>10)
	}
	if err := v.waits(); err != nil {
		return Claims{}, err
	}
	payload, _, err := v.view.verifySignature(ctx, raw, "at+jwt", "application/at+jwt") // RFC 9068
	if err != nil {
		v.note(ctx, err)
		return Claims{}, err
	}
	return v.claims(payload)
}

func (v *Verifier) claims(payload []byte) (Claims, error) {
	m, err := members(payload, append(slices.Clone(claimNames), "cnf")...)
	if err != nil {
		return Claims{}, fmt.Errorf("its payload %w", err)
	}
	if iss, ok := text(m, "iss"); !ok || iss != v.view.cfg.Issuer {
		return Claims{}, fmt.Errorf("its iss is %q, not %q", clean(iss, 256), v.view.cfg.Issuer)
	}
	if err := checkTimes(m, v.view.now()); err != nil {
		return Claims{}, err
	}
	if cnf := m["cnf"]; len(cnf) > 0 && string(cnf) != "null" { // RFC 7800
		return Claims{}, errors.New("it is bound to a key (cnf), and no proof of that key can be sent here")
	}
	var c Claims
	var ok bool
	c.Expiry, _, _ = seconds(m, "exp") // checked above
	if c.Subject, ok = text(m, "sub"); !ok || c.Subject == "" {
		return Claims{}, errors.New("it has no sub")
	}
	c.Audience, err = audienceOf(m)
	return c, err
}

// waits returns the error of the last fetch while no other one is sent.
func (v *Verifier) waits() error {
	if v.view.cached() != nil {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if within(v.view.now(), v.failed, verifierRetry) {
		return v.failure
	}
	return nil
}

// note remembers why the metadata is not available. A caller that has left says nothing
// about that.
func (v *Verifier) note(ctx context.Context, err error) {
	var e *Error
	if !errors.As(err, &e) || ctx.Err() != nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failed, v.failure = v.view.now(), err
}

// Close waits for a fetch in flight and closes idle connections.
func (v *Verifier) Close() {
	v.view.tasks.wait()
	_ = v.view.Close() // it returns nil
}

// audienceOf reads the audiences of a token: one text, or a list.
func audienceOf(m map[string]json.RawMessage) ([]string, error) {
	var aud []string
	if one, ok := text(m, "aud"); ok && one != "" {
		return []string{one}, nil
	}
	if json.Unmarshal(m["aud"], &aud) != nil || len(aud) == 0 {
		return nil, errors.New("its aud is missing or malformed")
	}
	return aud, nil
}
