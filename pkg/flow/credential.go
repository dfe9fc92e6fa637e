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
		return "", fmt.Errorf("cannot read the client secret: %w", err)
	case s == "":
		return "", errors.New("the client secret is empty")
	}
	return s, nil
}

// clientAssertion returns the assertion that somebody else has signed, as it is
// now.
func (c *Client) clientAssertion(ctx context.Context) (Secret, error) {
	s, err := c.cfg.AssertionFrom(ctx)
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot read the client assertion: %w", err)
	case s == "" || !vschar(s.Reveal()):
		return "", errors.New("the client assertion is not a token")
	}
	return s, nil
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
