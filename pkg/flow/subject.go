package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// maxSubject is the maximum size of a subject token, in bytes.
const maxSubject = 64 << 10

// loadSubjectToken returns the token that is exchanged.
func (s Exchange) loadSubjectToken(ctx context.Context) (Secret, *Error) {
	if s.SubjectTokenFile != "" {
		return readTokenFile("subject token", s.SubjectTokenFile)
	}
	t, err := s.SubjectToken(ctx)
	var e *Error
	switch {
	case errors.As(err, &e):
		return "", e
	case err != nil:
		return "", &Error{Op: "subject token", Class: ClassUnreachable, Description: "cannot get the subject token: " + withoutQuery(err), Err: err}
	case t == "" || !vschar(t.Reveal()):
		return "", &Error{Op: "subject token", Class: ClassConfig, Description: "the subject token is not a token"}
	}
	return t, nil
}

// TokenFile returns a function for [Config.AssertionFrom] that reads a file at
// each use. The file is rotated by another program, such as Kubernetes for a
// projected service account token.
func TokenFile(path string) func(context.Context) (Secret, error) {
	return func(context.Context) (Secret, error) {
		t, e := readTokenFile("client assertion", path)
		if e != nil {
			return "", e
		}
		return t, nil
	}
}

// readTokenFile reads a file that contains one token. It does not check the mode,
// because projected tokens are readable by everyone in their container.
func readTokenFile(what, path string) (Secret, *Error) {
	fail := func(why string, err error) (Secret, *Error) {
		return "", &Error{
			Op: what, Class: ClassConfig, Description: fmt.Sprintf("the %s file %s %s", what, path, why),
			Hint: strings.ReplaceAll(what, " ", "_") + "_file must name a file that contains one token and that tokend can read", Err: err, local: true,
		}
	}
	f, err := os.Open(path)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return fail("cannot be read: "+err.Error(), err)
	}
	defer func() { _ = f.Close() }() // read only
	b, err := io.ReadAll(io.LimitReader(f, maxSubject+1))
	t := strings.TrimSpace(string(b))
	switch {
	case err != nil:
		return fail("cannot be read", err)
	case len(b) > maxSubject:
		return fail("is larger than 64 KiB", nil)
	case t == "":
		return fail("is empty", nil)
	case !vschar(t):
		return fail("does not contain a token", nil)
	}
	return Secret(t), nil
}

// GitHubActions returns a function that requests the OpenID Connect token of a
// GitHub Actions job for an audience, at each exchange
// (https://docs.github.com/actions/reference/openid-connect-reference). url and
// token are the job's ACTIONS_ID_TOKEN_REQUEST_URL and
// ACTIONS_ID_TOKEN_REQUEST_TOKEN, which a job with the permission "id-token:
// write" has. The URL must be https, or on loopback.
func GitHubActions(requestURL string, token Secret, audience string) (func(context.Context) (Secret, error), error) {
	const op = "config"
	u, err := url.Parse(requestURL)
	const hint = "give the job the permission id-token: write"
	switch {
	case requestURL == "" || token == "":
		return nil, &Error{Op: op, Class: ClassConfig, Description: "ACTIONS_ID_TOKEN_REQUEST_URL or ACTIONS_ID_TOKEN_REQUEST_TOKEN is missing", Hint: hint}
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, &Error{Op: op, Class: ClassConfig, Description: "ACTIONS_ID_TOKEN_REQUEST_URL is not an https URL", Hint: hint}
	case !vschar(token.Reveal()):
		return nil, &Error{Op: op, Class: ClassConfig, Description: "ACTIONS_ID_TOKEN_REQUEST_TOKEN is not a token", Hint: hint}
	}
	if audience != "" {
		q := u.Query()
		q.Set("audience", audience)
		u.RawQuery = q.Encode()
	}
	t := newTransport()
	t.DisableKeepAlives = true // one request per token lifetime
	h := &http.Client{Transport: t, CheckRedirect: noRedirect}
	return func(ctx context.Context) (Secret, error) { return fetchGitHubToken(ctx, h, u.String(), token) }, nil
}

func fetchGitHubToken(ctx context.Context, h *http.Client, at string, token Secret) (Secret, error) {
	const op = "subject token"
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return "", &Error{Op: op, Class: ClassConfig, Description: "ACTIONS_ID_TOKEN_REQUEST_URL is not a URL"}
	}
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	req.Header.Set("Accept", "application/json")
	r, err := h.Do(req)
	if err != nil {
		return "", networkError(op, err)
	}
	body, err := readBody(r.Body)
	bad := &Error{Op: op, Class: ClassBadResponse, Status: r.StatusCode}
	switch {
	case r.StatusCode >= 300 && r.StatusCode < 400:
		bad.Class, bad.Description = ClassRedirect, "GitHub redirects; redirects are not followed"
		return "", bad
	case r.StatusCode == http.StatusTooManyRequests || r.StatusCode >= 500:
		bad.Class = ClassUnreachable
		fallthrough
	case r.StatusCode != http.StatusOK:
		bad.Description = "GitHub answers " + statusLine(r) + " to the request for the job's token"
		bad.Hint = "request the token while the job runs, and give the job the permission id-token: write"
		return "", bad
	case errors.Is(err, errTooLarge):
		bad.Err = err
		return "", bad
	case err != nil:
		return "", networkError(op, err)
	}
	m, err := members(body, "value")
	if value, ok := text(m, "value"); err == nil && ok && value != "" && vschar(value) {
		return Secret(value), nil
	}
	bad.Description = "GitHub's answer has no token in its member \"value\""
	return "", bad
}
