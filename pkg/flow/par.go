package flow

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"sync"
)

// pushes reports whether the client pushes its authorization requests (RFC 9126),
// because the provider requires it of all clients or the configuration says so.
func (c *Client) pushes(m *metadata) bool { return m.RequirePAR || c.cfg.PAR }

// push sends the parameters of an authorization request to the provider, with
// client authentication, and returns their request_uri.
func (c *Client) push(ctx context.Context, m *metadata, params url.Values) (string, *Error) {
	const op = "login"
	bad := &Error{Op: op, Class: ClassBadResponse}
	if why := c.cfg.checkURL(m.PAR); why != "" {
		bad.Description = fmt.Sprintf("pushed_authorization_request_endpoint %q %s", clean(m.PAR, 256), why)
		bad.Hint = "the provider requires pushed authorization requests (PAR) and must announce the endpoint"
		return "", bad
	}
	ctx, release, e := c.provider.admit(ctx, op)
	if e != nil {
		return "", e
	}
	defer release()
	form := maps.Clone(params)
	r, body, _, err := c.send(ctx, op, m.PAR, form, sendOptions{})
	if r == nil {
		return "", asError(op, err)
	}
	v, perr := members(trimBody(body), "request_uri", "expires_in", "error", "error_description")
	if r.StatusCode/100 != 2 || err != nil || errorCode(v) != "" {
		if _, _, e := c.classify(op, r, body, err, form); e != nil {
			return "", e
		}
	}
	bad.Status = r.StatusCode
	uri, _ := text(v, "request_uri")
	switch {
	case perr != nil:
		bad.Description = "the answer " + perr.Error()
	case uri == "" || !vschar(uri):
		bad.Description = "the answer has no request_uri"
	default:
		return uri, nil
	}
	return "", bad
}

var namesPAR = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\bPAR\b|pushed[ _-]authori[sz]ation|request_uri`)
})

// parHint is the hint for an application that accepts only pushed requests.
const parHint = "this application requires pushed authorization requests (PAR): set par: true"

// wantsPAR reports whether an authorization request was rejected because it was
// not pushed.
func (c *Client) wantsPAR(code, words string) bool {
	return code == "invalid_request" && !c.cfg.PAR && namesPAR().MatchString(words)
}
