package flow

import (
	"context"
	"net/url"
)

// outcome is what a token request did to its refresh token.
type outcome int

const (
	succeeded outcome = iota // the answer has tokens
	notSent                  // nothing was sent: the token is unused
	refused                  // the request was rejected: the token is unused
	unknown                  // sent, and the result is not known
)

// post sends one token request: exactly one POST to the endpoint, without
// redirects, with the configured client authentication and one deadline for
// everything.
func (c *Client) post(ctx context.Context, op, endpoint string, form url.Values, opts sendOptions) (answer, outcome, *Error) {
	ctx, release, e := c.provider.admit(ctx, op)
	if e != nil {
		return answer{}, notSent, e
	}
	defer release()
	ctx, end := c.begin(ctx, OpTokenRequest, form.Get("grant_type"))
	a, o, e := c.exchangeOnce(ctx, op, endpoint, form, opts)
	end(e)
	return a, o, e
}

// exchangeOnce sends the request and classifies the answer.
func (c *Client) exchangeOnce(ctx context.Context, op, endpoint string, form url.Values, opts sendOptions) (answer, outcome, *Error) {
	r, body, o, err := c.send(ctx, op, endpoint, form, opts)
	if r == nil {
		return answer{}, o, asError(op, err)
	}
	return c.classify(op, r, body, err, form)
}
