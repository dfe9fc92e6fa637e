package flow

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// clientSecret returns the current client secret: the configured one, or the
// result of the configured function.
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

// clientAssertion returns the current assertion of another issuer.
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

// localError returns the error for something that cannot be read on this machine,
// with the setting that names its file. An error of this kind is returned as it
// is.
func localError(setting string, err error) *Error {
	if e := (*Error)(nil); errors.As(err, &e) && e.local {
		own := *e
		return &own
	}
	e := &Error{Op: "config", Class: ClassConfig, Err: err, local: true}
	e.Description, e.Hint = withoutQuery(err), hintOf(err)
	if e.Hint != "" {
		e.Hint += " (" + setting + "_file)"
	} else {
		e.Hint = setting + "_file must name a file with the secret that tokend can read"
	}
	return e
}

// requestError returns the error for a request that could not be built.
func requestError(op string, err error) *Error {
	e := asError(op, err)
	e.Op = op
	if !e.local {
		e.Class = ClassConfig
	}
	return e
}

// withoutQuery returns the text of a caller's error. A URL in it, as net/http puts there,
// loses its query, which may contain a secret.
func withoutQuery(err error) string {
	text := err.Error()
	u := (*url.Error)(nil)
	if !errors.As(err, &u) || u.URL == "" {
		return text
	}
	at := "the URL"
	if parsed, perr := url.Parse(u.URL); perr == nil {
		parsed.User, parsed.RawQuery, parsed.ForceQuery, parsed.Fragment, parsed.RawFragment = nil, "", false, "", ""
		at = parsed.String()
	}
	quoted := strconv.Quote(u.URL)
	text = strings.ReplaceAll(text, quoted, strconv.Quote(at)) // net/url writes it so
	return strings.ReplaceAll(text, u.URL, at)
}

// credentialError returns why the client's credential cannot be read now, or nil.
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

// clientCredentialHash returns a fingerprint of the credential that the client
// would authenticate with now, to notice that a rejected one has changed. It is
// "" for a public client, and if the credential cannot be read.
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
