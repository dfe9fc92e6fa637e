package format

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"example.com/tokend/pkg/tokend"
)

// operationLast reads the operands of git-credential-tokend: git appends the
// operation to those of its configuration.
func operationLast(r *Request, operands []string) error {
	switch len(operands) {
	case 1:
		r.Operation = operands[0]
	case 2:
		r.Client, r.Operation = operands[0], operands[1]
	default:
		return errorf(Usage, "git runs it: credential.helper = tokend, or credential.helper = tokend NAME",
			"git-credential-tokend takes an operation, and before it at most a client's name")
	}
	return nil
}

// gitCredential is a credential helper of git, see git-credential(1) and
// gitcredentials(7). Only get has an answer: tokend itself stores and removes
// tokens, and git requires that other operations are ignored. Without a client name
// the host determines the client.
func gitCredential(ctx context.Context, p Process, r Request) ([]byte, error) {
	in, err := p.input(ctx)
	if err != nil {
		return nil, err
	}
	if r.Operation != "get" && r.Operation != "" {
		return nil, nil
	}
	q, err := gitQuery(in)
	if err != nil {
		return nil, err
	}
	s, err := p.Connect(ctx)
	if err != nil {
		return nil, err
	}
	user, err := choose(ctx, s, &r, q.protocol, q.host)
	if err != nil || r.Client == "" { // no answer: git asks its next helper
		return nil, err
	}
	t, err := p.token(ctx, s, r)
	if err != nil {
		return nil, err
	}
	lines := append(q.credential(t, user), fmt.Sprintf("password_expiry_utc=%d", t.ExpiresAt.Unix()))
	return line(strings.Join(lines, "\n")), nil
}

// gitRequest is git's description of the credential that it wants.
type gitRequest struct {
	protocol, host, username string
	authtype                 bool     // git accepts any scheme, not user and password alone
	offered                  []string // schemes of the server's WWW-Authenticate, in lower case
}

// gitQuery reads lines "key=value" up to an empty one and ignores unknown keys, as git
// requires.
func gitQuery(in []byte) (gitRequest, error) {
	var q gitRequest
	for line := range strings.Lines(string(in)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			break
		}
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "protocol":
			q.protocol = value
		case "host":
			q.host = value
		case "username":
			q.username = value
		case "capability[]":
			q.authtype = q.authtype || value == "authtype"
		case "wwwauth[]":
			scheme, _, _ := strings.Cut(value, " ")
			q.offered = append(q.offered, strings.ToLower(scheme))
		}
	}
	if q.protocol != "https" && q.protocol != "http" || q.host == "" {
		return q, errorf(Usage, "git runs it: credential.helper = !tokend token NAME --format git-credential",
			"the query on standard input names no protocol (http or https) and host")
	}
	return q, nil
}

// credential returns a bearer token if git can send one and the server does not offer
// Basic only; otherwise the token is the password.
func (q gitRequest) credential(t *tokend.Token, user string) []string {
	basicOnly := slices.Contains(q.offered, "basic") && !slices.Contains(q.offered, "bearer")
	if q.authtype && !basicOnly {
		return []string{"capability[]=authtype", "authtype=Bearer", "credential=" + t.AccessToken.Reveal(), "ephemeral=1"}
	}
	if q.username != "" {
		user = q.username
	}
	return []string{"username=" + user, "password=" + t.AccessToken.Reveal()}
}
