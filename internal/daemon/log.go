package daemon

import (
	"cmp"
	"context"
	"errors"

	"example.com/tokend/internal/guard"
	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// bugHint is what to do about a failure that nothing explains.
const bugHint = "report it as a bug, with this line"

// warn logs that something did not work for a client. The hint names no login page:
// its URL would let a reader of the log finish another's login.
func (d *Daemon) warn(ctx context.Context, msg string, cl *client, err error) {
	p := problemOf(err)
	p.Client, p.Login = cl.Name(), cl.Login
	p.advise()
	d.log.WarnContext(ctx, msg, "client", p.Client, "error", p.Code, "reason", p.Description,
		"hint", cmp.Or(p.Hint, "tokend doctor "+p.Client+" shows more"), "caller", guard.CallerOf(ctx).Name)
}

// reasonAndHint splits an error for the log, where fallback is the hint of one that
// has none.
func reasonAndHint(err error, fallback string) (reason, advice string) {
	if e := (*flow.Error)(nil); errors.As(err, &e) {
		return describe(e), cmp.Or(e.Hint, fallback)
	}
	return err.Error(), cmp.Or(hint.Of(err), fallback)
}
