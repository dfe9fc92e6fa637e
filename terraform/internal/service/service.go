// Package service finds tokend on this machine and calls its API.
package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

const (
	maxAnswer = 4 << 20          // bytes that are read from an answer
	timeout   = 50 * time.Second // longer than tokend lets a caller wait
	retryFor  = time.Minute      // how long a 503 is retried
)

// Secret is a string that no format verb prints.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// Format implements [fmt.Formatter] and masks the secret for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") } // a String method would not cover %x

// Service is a connection to tokend's API. It keeps no connection open.
type Service struct {
	Where     string // for a person: its expected address
	KeySource string // for a person: the source of the key; "" without one

	base string
	key  Secret
	http *http.Client
	wait func(context.Context, time.Duration) error
}

// Format implements [fmt.Formatter] and masks: fmt does not
// call the Format method of an unexported field such as the key.
func (s Service) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "tokend at "+s.Where) }

// Request is a token request. Zero values mean the client's own.
type Request struct {
	Client      string
	MinValidity time.Duration
	Audience    string
	Scopes      []string
}

// Token is a token answer of tokend.
type Token struct {
	AccessToken Secret    `json:"access_token"`
	TokenType   string    `json:"token_type"`
	ExpiresIn   int64     `json:"expires_in"` // seconds
	ExpiresAt   time.Time `json:"expires_at"`
	Satisfied   bool      `json:"min_validity_satisfied"`
}

// Client is the state of a client, without secrets and without its login URL, which is
// for one person. Times are zero when unknown.
type Client struct {
	Client       string    `json:"client"`
	Issuer       string    `json:"issuer"`
	State        string    `json:"state"`
	Subject      string    `json:"subject"`
	Scope        string    `json:"scope"`
	Expiry       time.Time `json:"expiry"`   // of the client's own access token
	Obtained     time.Time `json:"obtained"` // the same token
	LoggedIn     time.Time `json:"logged_in"`
	LastExchange time.Time `json:"last_exchange"`
	NextRefresh  time.Time `json:"next_refresh"`
	GrantEnds    time.Time `json:"grant_ends"`
	Generation   int64     `json:"generation"`
	Rotation     string    `json:"rotation"`
	Login        string    `json:"login"`
	Failure      *Failure  `json:"failure"`
}

// Failure is the last failed refresh of a client.
type Failure struct {
	Time        time.Time `json:"time"`
	Class       string    `json:"class"`
	Code        string    `json:"code"`
	Description string    `json:"description"`
}

// Refusal is an error answer of tokend.
type Refusal struct {
	Status       int    `json:"-"`
	Code         string `json:"error"`
	Description  string `json:"error_description"`
	Hint         string `json:"hint"`
	Client       string `json:"client"`
	Login        string `json:"login"`
	AuthorizeURL string `json:"authorize_url"`
	Remedy       string `json:"remedy"`      // "browser", "setting" or "": the login as configured
	RetryAfter   int    `json:"retry_after"` // seconds
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Description }

// printable returns text without control characters: Terraform shows it on a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// ErrUnreachable is for a tokend that does not answer.
var ErrUnreachable = errors.New("tokend does not answer")

// ErrForeign is for an answer that is not from tokend.
var ErrForeign = errors.New("the server there is not tokend")

// Token requests a token.
func (s *Service) Token(ctx context.Context, r Request) (*Token, error) {
	query := url.Values{}
	if r.MinValidity > 0 {
		query.Set("min_validity", r.MinValidity.String())
	}
	if r.Audience != "" {
		query.Set("audience", r.Audience)
	}
	if len(r.Scopes) > 0 {
		query.Set("scope", strings.Join(r.Scopes, " "))
	}
	var t Token
	if err := s.get(ctx, path(r.Client)+"/token", query, &t); err != nil {
		return nil, err
	}
	if !headerSafe(t.AccessToken.Reveal()) || !headerSafe(t.TokenType) || t.ExpiresAt.IsZero() {
		return nil, fmt.Errorf("%w: its answer has no usable token", ErrForeign)
	}
	return &t, nil
}

// Client requests the state of a client.
func (s *Service) Client(ctx context.Context, name string) (*Client, error) {
	var c Client
	if err := s.get(ctx, path(name), nil, &c); err != nil {
		return nil, err
	}
	if c.Client != name || c.State == "" {
		return nil, fmt.Errorf("%w: its answer has no state of client %q", ErrForeign, name)
	}
	return &c, nil
}

// Names requests the names of the clients that the key may use.
func (s *Service) Names(ctx context.Context) ([]string, error) {
	var list struct {
		Clients []Client `json:"clients"`
	}
	if err := s.get(ctx, "/v1/clients", nil, &list); err != nil {
		return nil, err
	}
	names := make([]string, len(list.Clients))
	for i, c := range list.Clients {
		names[i] = c.Client
	}
	return names, nil
}

func path(client string) string { return "/v1/clients/" + url.PathEscape(client) }

// headerSafe reports whether a header can carry s (RFC 6750 section 2.1): a newline would
// begin another header.
func headerSafe(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// get sends a request, and retries it for as long as tokend's answer asks for that.
func (s *Service) get(ctx context.Context, path string, query url.Values, into any) error {
	for left := retryFor; ; {
		err := s.once(ctx, path, query, into)
		r := (*Refusal)(nil)
		if !errors.As(err, &r) || r.Status != http.StatusServiceUnavailable || r.RetryAfter <= 0 {
			return err
		}
		pause := time.Duration(r.RetryAfter) * time.Second
		if left -= pause; left < 0 || s.wait(ctx, pause) != nil {
			return err
		}
	}
}

func (s *Service) once(ctx context.Context, path string, query url.Values, into any) error {
	target := s.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "terraform-provider-tokend")
	if s.key != "" {
		req.Header.Set("Authorization", "Bearer "+s.key.Reveal())
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, cause(err))
	}
	defer func() { _ = resp.Body.Close() }() // only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%w: its answer broke off: %w", ErrUnreachable, cause(err))
	}
	if resp.StatusCode == http.StatusOK && json.Unmarshal(body, into) == nil {
		return nil
	}
	r := Refusal{Status: resp.StatusCode}
	if json.Unmarshal(body, &r) != nil || r.Code == "" {
		return fmt.Errorf("%w: status %d without its body", ErrForeign, resp.StatusCode)
	}
	for _, text := range []*string{&r.Code, &r.Description, &r.Hint, &r.Client, &r.Login, &r.AuthorizeURL} {
		*text = printable(*text)
	}
	return &r
}

// cause returns a transport error without the URL.
func cause(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}

type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// newHTTP returns a client that ignores http_proxy and follows no redirect: the key is for
// this machine.
func newHTTP(dial dialer) *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DialContext: dial, DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       timeout,
	}
}

func dialSocket(path string) dialer {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
}

// dialEither tries the socket and, if nothing listens there, the TCP listener.
func dialEither(socket, listen string) dialer {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", socket)
		if err == nil {
			return c, nil
		}
		c, second := d.DialContext(ctx, "tcp", listen)
		if second != nil {
			return nil, errors.Join(err, second)
		}
		return c, nil
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
