package daemon

import (
	"cmp"
	"context"
	"errors"

	"example.com/tokend/internal/guard"
	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// bugHint is the hint for an error without an explanation.
const bugHint = "report it as a bug, with this line"

// failureOf returns the attributes of a log line about something that failed for a
// client. The hint names no login page: its URL would let a reader of the log finish
// another's login.
func failureOf(ctx context.Context, cl *client, err error) []any {
	p := problemOf(err)
	p.Client, p.Login, p.method = cl.Name(), cl.Login, cl.Login
	p.advise()
	return []any{
		"client", p.Client, "error", p.Code, "reason", p.Description,
		"hint", cmp.Or(p.Hint, "tokend doctor "+p.Client+" shows more"), "caller", guard.CallerOf(ctx).Name,
	}
}

// reasonAndHint splits an error for the log, where fallback is the hint of one that
// has none.
func reasonAndHint(err error, fallback string) (reason, advice string) {
	if e := (*flow.Error)(nil); errors.As(err, &e) {
		return describe(e), cmp.Or(e.Hint, fallback)
	}
	return err.Error(), cmp.Or(hint.Of(err), fallback)
}
