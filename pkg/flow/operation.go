package flow

import "context"

// The names of operations.
const (
	OpRefresh      = "refresh"       // gets tokens without a person; with what is stored and verified for it
	OpTokenRequest = "token_request" // one request to the token endpoint
)

// Operation is a part of a client's work that a trace shows. It has no secret.
type Operation struct {
	Client    string
	Name      string // OpRefresh or OpTokenRequest
	GrantType string // of a token request
}

// begin reports the start of an operation. The returned function reports its end.
func (c *Client) begin(ctx context.Context, name, grantType string) (context.Context, func(*Error)) {
	if c.cfg.OnStart == nil {
		return ctx, func(*Error) {}
	}
	ctx, end := c.cfg.OnStart(ctx, Operation{Client: c.cfg.Name, Name: name, GrantType: grantType})
	return ctx, func(e *Error) {
		if e == nil {
			end("")
			return
		}
		end(e.Class)
	}
}
