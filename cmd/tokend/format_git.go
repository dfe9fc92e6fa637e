package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"example.com/tokend/pkg/tokend"
)

// gitCredential is a credential helper of git, see git-credential(1) and
// gitcredentials(7). Only get has an answer: what git would store or erase is
// tokend's to keep, and other operations are to be ignored.
func (p *program) gitCredential(ctx context.Context, f tokenFlags) error {
	in, err := p.read(ctx)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	if f.operation != "get" && f.operation != "" {
		return nil
	}
	q, err := gitQuery(in)
	if err != nil {
		return err
	}
	s, err := reach(ctx)
	if err != nil {
		return err
	}
	user, err := s.permitted(ctx, f.Client, q.protocol, q.host)
	if err != nil {
		return err
	}
	t, err := p.ask(ctx, s, f)
	if err != nil {
		return err
	}
	return p.print(strings.Join(append(q.credential(t, user), fmt.Sprintf("password_expiry_utc=%d", t.ExpiresAt.Unix())), "\n"))
}

// gitRequest is what git says of the credential that it wants.
type gitRequest struct {
	protocol, host, username string
	authtype                 bool     // git takes any scheme, not user and password alone
	offered                  []string // schemes of the server's WWW-Authenticate, in small letters
}

// gitQuery reads lines "key=value" up to an empty one; unknown keys are to be
// ignored.
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
		return q, hintf(exitUsage, "it is for git: credential.helper = !tokend token NAME --format git-credential",
			"the query on standard input names no protocol (http or https) and host")
	}
	return q, nil
}

// credential is a bearer token where git can send one and the server does not
// ask for Basic alone; else the token is the password.
func (q gitRequest) credential(t *tokend.Token, user string) []string {
	basicOnly := slices.Contains(q.offered, "basic") && !slices.Contains(q.offered, "bearer")
	if q.authtype && !basicOnly {
		return []string{"capability[]=authtype", "authtype=Bearer", "credential=" + t.AccessToken.Reveal(), "ephemeral=1"}
	}
	return []string{"username=" + cmp.Or(q.username, user), "password=" + t.AccessToken.Reveal()}
}
