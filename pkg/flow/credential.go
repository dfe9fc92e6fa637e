package flow

import (
	"context"
	"errors"
	"fmt"
)

// clientSecret returns the client's secret as it is now: the configured one, or
// what the configured function reads.
func (c *Client) clientSecret(ctx context.Context) (Secret, error) {
	if c.cfg.ClientSecretFrom == nil {
		return c.cfg.ClientSecret, nil
	}
	s, err := c.cfg.ClientSecretFrom(ctx)
	switch {
	case err != nil:
		return "", localError("client_secret", fmt.Errorf("cannot read the client secret: %w", err))
	case s == "":
		return "", localError("client_secret", errors.New("the client secret is empty"))
	}
	return s, nil
}

// clientAssertion returns the assertion that somebody else has signed, as it is
// now.
func (c *Client) clientAssertion(ctx context.Context) (Secret, error) {
	s, err := c.cfg.AssertionFrom(ctx)
	switch {
	case err != nil:
		return "", localError("client_assertion", fmt.Errorf("cannot read the client assertion: %w", err))
	case s == "" || !vschar(s.Reveal()):
		return "", localError("client_assertion", errors.New("the client assertion is not a token"))
	}
	return s, nil
}

// localError says that something to send cannot be read, and which setting has
// its file. One that says so already stays as it is.
func localError(setting string, err error) *Error {
	if e := (*Error)(nil); errors.As(err, &e) && e.local {
		own := *e
		return &own
	}
	e := &Error{Op: "config", Class: ClassConfig, Err: err, local: true}
	e.Description, e.Hint = err.Error(), hintOf(err)
	if e.Hint != "" {
		e.Hint += " (" + setting + "_file)"
	} else {
		e.Hint = setting + "_file must name a file with the secret in it, readable for tokend"
	}
	return e
}

// requestError is why a request could not be made.
func requestError(op string, err error) *Error {
	e := asError(op, err)
	e.Op = op
	if !e.local {
		e.Class = ClassConfig
	}
	return e
}

// credentialError says why what the client authenticates with cannot be read at
// the moment, or is nil.
func (c *Client) credentialError(ctx context.Context) *Error {
	var err error
	switch {
	case c.cfg.AssertionFrom != nil:
		_, err = c.clientAssertion(ctx)
	case c.cfg.ClientSecretFrom != nil:
		_, err = c.clientSecret(ctx)
	}
	if err == nil {
		return nil
	}
	return requestError("refresh", err)
}

// clientCredentialHash returns a fingerprint of what the client would
// authenticate with now, so that a change of a rejected credential is noticed.
// It is "" for a public client, and while the credential cannot be read.
func (c *Client) clientCredentialHash(ctx context.Context) string {
	var s Secret
	var err error
	switch {
	case c.cfg.Auth == AuthNone:
	case c.cfg.PrivateKey != nil:
		return c.cfg.PrivateKey.hash
	case c.cfg.AssertionFrom != nil:
		s, err = c.clientAssertion(ctx)
	default:
		s, err = c.clientSecret(ctx)
	}
	if err != nil || s == "" {
		return ""
	}
	return fingerprint(s)
}
