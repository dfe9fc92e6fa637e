package daemon

import (
	"context"
	"errors"

	"example.com/tokend/internal/guard"
	"example.com/tokend/pkg/flow"
)

// verifier verifies tokens of callers for the guard, which does not know OAuth.
type verifier struct{ *flow.Verifier }

// Verify implements [guard.Verifier].
func (v verifier) Verify(ctx context.Context, token string) (guard.Identity, error) {
	c, err := v.Verifier.Verify(ctx, token)
	var e *flow.Error
	if errors.As(err, &e) {
		return guard.Identity{}, &guard.Unavailable{Err: errors.New(e.Message())}
	}
	return guard.Identity(c), err
}

func tokenRules(list []TokenRule) []guard.TokenRule {
	var rules []guard.TokenRule
	for _, r := range list {
		rules = append(rules, guard.TokenRule{Issuer: r.Issuer.Issuer(), Audience: r.Audience, Subject: r.Subject, Verifier: verifier{r.Issuer}})
	}
	return rules
}
