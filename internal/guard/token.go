package guard

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// TokenRule recognizes a caller by a signed token (JWT) of an issuer, such as that of a
// job of a pipeline.
type TokenRule struct {
	Issuer, Audience string // of the token, compared exactly

	// Subject is the token's sub. In it * is any text without a colon, and ** any text.
	Subject string

	Verifier Verifier // of the issuer
}

// Verifier verifies tokens of one issuer.
type Verifier interface {
	// Verify returns who a token is about. An [Unavailable] error says nothing about
	// the token, every other one rejects it.
	Verify(ctx context.Context, token string) (Identity, error)
}

// Identity is who a verified token is about.
type Identity struct {
	Subject  string
	Audience []string
	Expiry   time.Time // of the token
}

// Unavailable is the error of a [Verifier] without the keys of its issuer.
type Unavailable struct{ Err error }

func (u *Unavailable) Error() string { return u.Err.Error() }

// Unwrap returns the cause.
func (u *Unavailable) Unwrap() error { return u.Err }

// unavailableRetry is when a caller should try again, in seconds.
const unavailableRetry = 5

// tokenRule is a TokenRule with its caller.
type tokenRule struct {
	TokenRule

	subject *regexp.Regexp
	caller  *Caller
}

// addTokens adds the rules of a caller. Of two rules that match a token the more exact
// one counts: the one with more text before its first *.
func (l *keyless) addTokens(rules []TokenRule, caller *Caller) error {
	var faults []error
	for _, r := range rules {
		if r.Verifier == nil || wrongSubject(r.Subject) != "" {
			faults = append(faults, fmt.Errorf("the subject %q of caller %q cannot be used", r.Subject, caller.Name))
			continue
		}
		all := l.tokens[r.Issuer]
		for _, o := range all {
			if o.Audience == r.Audience && o.Subject == r.Subject {
				faults = append(faults, fmt.Errorf("the subject %q is of two callers, %q and %q", r.Subject, o.caller.Name, caller.Name))
			}
		}
		all = append(all, tokenRule{r, pattern(r.Subject), caller})
		slices.SortStableFunc(all, func(a, b tokenRule) int {
			return cmp.Or(cmp.Compare(literal(b.Subject), literal(a.Subject)), cmp.Compare(strings.Count(a.Subject, "*"), strings.Count(b.Subject, "*")))
		})
		l.tokens[r.Issuer] = all
	}
	return errors.Join(faults...)
}

// literal is how much text a subject has before its first *.
func literal(subject string) int {
	text, _, _ := strings.Cut(subject, "*")
	return len(text)
}

// wrongSubject returns what is wrong with the subject of a rule, or "".
func wrongSubject(subject string) string {
	switch {
	case subject == "":
		return "is missing"
	case literal(subject) == 0:
		return "begins with *, and would admit everyone who can get a token of the issuer"
	case strings.Contains(subject, "***"):
		return "has more than two * in a row"
	}
	return ""
}

// pattern returns the regular expression of a subject. A colon separates the parts of
// subjects, such as repo:acme/app:ref:refs/heads/main.
func pattern(subject string) *regexp.Regexp {
	var parts []string
	for _, part := range strings.Split(subject, "**") {
		parts = append(parts, strings.ReplaceAll(regexp.QuoteMeta(part), `\*`, `[^:]*`))
	}
	return regexp.MustCompile(`(?s)^` + strings.Join(parts, `.*`) + `$`)
}

// ofToken returns the caller of a bearer token other than an API key.
func (g *Guard) ofToken(ctx context.Context, raw string) (*Caller, *Refusal) {
	if len(g.keyless.tokens) == 0 {
		return &g.anonymous, wrongKey()
	}
	var buf [2048]byte // avoids an allocation for most tokens
	hash := sha256.Sum256(append(buf[:0], raw...))
	if c := g.verified.caller(hash, g.now()); c != nil {
		return c, nil
	}
	issuer, signed := issuerOf(raw)
	if !signed {
		return &g.anonymous, wrongKey()
	}
	rules := g.keyless.tokens[issuer]
	if rules == nil {
		return &g.anonymous, rejected(fmt.Sprintf("the issuer %q of the token is not one of a caller", shortened(issuer)), "add it to oidc of a caller, exactly as the token has it")
	}
	id, err := rules[0].Verifier.Verify(ctx, raw)
	if down := (*Unavailable)(nil); errors.As(err, &down) {
		return &g.anonymous, &Refusal{
			Status: http.StatusServiceUnavailable, Code: "caller_issuer_unavailable", RetryAfter: unavailableRetry, Cause: down.Err,
			Description: "the keys of " + issuer + " are not available to verify the token", Hint: "try again; the log says why",
		}
	}
	if err != nil {
		return &g.anonymous, rejected("the token of "+issuer+" is rejected: "+err.Error(), "request another one for this audience, and use it before it expires")
	}
	caller, refusal := g.ofIdentity(rules, id)
	if refusal == nil {
		g.verified.keep(hash, caller, g.now(), id.Expiry)
	}
	return caller, refusal
}

// ofIdentity returns the caller that a verified token is about.
func (g *Guard) ofIdentity(rules []tokenRule, id Identity) (*Caller, *Refusal) {
	known := false
	for _, r := range rules {
		if !slices.Contains(id.Audience, r.Audience) {
			continue
		}
		known = true
		if r.subject.MatchString(id.Subject) {
			c := *r.caller
			c.Subject, c.expires = shortened(id.Subject), id.Expiry
			return &c, nil
		}
	}
	if !known {
		return &g.anonymous, rejected(fmt.Sprintf("the audience %q of the token is not one of a caller", shortened(strings.Join(id.Audience, " "))),
			"request the token for the audience in oidc of the caller")
	}
	return &g.anonymous, rejected(fmt.Sprintf("the subject %q of the token is not one of a caller", shortened(id.Subject)), "add it to oidc of a caller")
}

func rejected(description, hint string) *Refusal {
	return unauthorized("invalid_token", description, hint)
}

// issuerOf reads the issuer of a token that is not verified yet, to find its keys.
func issuerOf(raw string) (issuer string, signed bool) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return "", false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", false
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	return claims.Issuer, json.Unmarshal(payload, &claims) == nil && claims.Issuer != ""
}

// shortened bounds a value from outside for the log and the answer.
func shortened(s string) string {
	const most = 256
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
