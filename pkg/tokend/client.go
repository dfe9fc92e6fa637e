package tokend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// maxAnswer is the maximum size of an answer, in bytes.
const maxAnswer = 16 << 20

// Client talks to one tokend. It is safe for concurrent use.
type Client struct {
	service *Service // a pointer, so that fmt shows no key of a client in an unexported field
	base    string   // URL without a path
	http    *http.Client
	key     *apiKey
	now     func() time.Time
}

// String names the service.
func (c Client) String() string { return "tokend at " + strings.Join(c.service.Addrs, " or ") }

// Format implements [fmt.Formatter] and masks the API key for every verb.
func (c Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// Dial returns a client of the service at addr, "http://127.0.0.1:8484",
// "https://tokend.example.com" or "unix:/path"; "" is the service that the command line uses. The key is found as
// by [Find]. Dial does no I/O; use [Client.Health] to test the connection.
func Dial(addr string) (*Client, error) {
	s, err := Find(func(variable string) string {
		if variable == "TOKEND_ADDR" && addr != "" {
			return addr
		}
		return os.Getenv(variable)
	})
	if err != nil {
		return nil, err
	}
	return New(s)
}

// New returns a client of s. It does no I/O.
func New(s Service) (*Client, error) {
	var endpoints []endpoint
	base := ""
	for _, addr := range s.Addrs {
		e, err := parseAddr(addr)
		if err != nil {
			return nil, err
		}
		switch {
		case e.tls && len(s.Addrs) > 1:
			return nil, addressError("name it alone", "an https address must be the only one")
		case e.tls:
			base = "https://" + e.addr
		case e.network == "tcp" && base == "":
			base = "http://" + e.addr
		}
		endpoints = append(endpoints, e)
	}
	switch {
	case len(endpoints) == 0:
		return nil, addressError("such as http://127.0.0.1:8484", "no address of tokend is set")
	case s.Key != "" && s.KeyFile != "":
		return nil, addressError("set one of them", "both a key and a key file are set")
	}
	s.Key = Secret(strings.TrimSpace(s.Key.Reveal())) // as of a key file
	if strings.ContainsFunc(s.Key.Reveal(), func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, addressError("set it to the key alone", "the API key has white space, a control character, or one outside of ASCII in it")
	}
	if base == "" { // only sockets
		s.Key, s.KeyFile = "", ""
	}
	return &Client{
		service: &s, base: first(base, "http://localhost"),
		http: &http.Client{Transport: newTransport(endpoints, s.OwnOnly, s.RootCAs), CheckRedirect: noRedirect, Timeout: timeout},
		key:  &apiKey{file: s.KeyFile, optional: s.KeyFileOptional, value: s.Key, read: s.Key != ""},
		now:  time.Now,
	}, nil
}

// Service returns the service that the client was made for.
func (c *Client) Service() Service { return *c.service }

// Key returns the API key that requests carry, "" if there is none.
func (c *Client) Key() (Secret, error) { return c.key.get() }

// BaseURL is the URL that API paths are appended to, for [Client.HTTPClient].
func (c *Client) BaseURL() string { return c.base }

// HTTPClient returns the HTTP client that connects to the service, at
// [Client.BaseURL]. It does not send the key.
func (c *Client) HTTPClient() *http.Client { return c.http }

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Health checks that the service answers, and returns its version. It needs no
// key.
func (c *Client) Health(ctx context.Context) (version string, err error) {
	var health struct {
		Status  string `json:"status"`
		Version string `json:"version"`
	}
	body, err := c.send(ctx, http.MethodGet, "/healthz", nil, "")
	if err != nil {
		return "", err
	}
	if json.Unmarshal(body, &health) != nil || health.Status != "ok" {
		return "", c.unreadable("a health check")
	}
	return health.Version, nil
}

// Readiness is what the service can do. An error of [Client.Ready] with status 503 says
// that its store does not answer.
type Readiness struct {
	Status        string        `json:"status"`        // "ready"; "degraded": tokens are served, and Audit says what is wrong
	Notifications string        `json:"notifications"` // of other processes' changes: "ok", "lost"; "": the store has none
	Audit         *AuditFailure `json:"audit"`         // nil: the audit log is complete
}

// AuditFailure is why the audit log is not complete.
type AuditFailure struct {
	Since   time.Time `json:"since"`
	Reason  string    `json:"reason"`
	Hint    string    `json:"hint"`
	Missing int64     `json:"missing"` // entries that are in the service's log only
}

// Ready returns whether the service is ready. It needs no API key.
func (c *Client) Ready(ctx context.Context) (*Readiness, error) {
	body, err := c.send(ctx, http.MethodGet, "/readyz", nil, "")
	if err != nil {
		return nil, err
	}
	var r Readiness
	if json.Unmarshal(body, &r) != nil || r.Status == "" {
		return nil, c.unreadable("its readiness")
	}
	return &r, nil
}

// Clients returns the status of every client that the key may use.
func (c *Client) Clients(ctx context.Context) ([]Status, error) {
	var all struct {
		Clients []Status `json:"clients"`
	}
	body, err := c.call(ctx, http.MethodGet, "/v1/clients", nil)
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(body, &all) != nil || all.Clients == nil {
		return nil, c.unreadable("a list of clients")
	}
	return all.Clients, nil
}

// Status returns the status of a client.
func (c *Client) Status(ctx context.Context, name string) (*Status, error) {
	return c.status(ctx, http.MethodGet, clientPath(name, ""), nil)
}

// Refresh gets a new access token, for example after a 401 of an API, and returns
// the client's status. Concurrent calls share one refresh.
func (c *Client) Refresh(ctx context.Context, r RefreshRequest) (*Status, error) {
	in := map[string]string{}
	for name, value := range map[string]string{"refused": r.Refused.Reveal(), "audience": r.Audience, "scope": strings.Join(r.Scopes, " ")} {
		if value != "" {
			in[name] = value
		}
	}
	return c.status(ctx, http.MethodPost, clientPath(r.Client, "/refresh"), in)
}

// RefreshRequest says which token to refresh.
type RefreshRequest struct {
	Client   string
	Refused  Secret // the token that an API rejected; no refresh if it was already replaced
	Audience string // as in TokenRequest
	Scopes   []string
}

// Resume allows the grant of a restored store to be refreshed again.
func (c *Client) Resume(ctx context.Context, name string) (*Status, error) {
	return c.status(ctx, http.MethodPost, clientPath(name, "/resume"), nil)
}

// Logout revokes the client's grant at the provider and deletes it.
func (c *Client) Logout(ctx context.Context, name string) (*Status, error) {
	return c.status(ctx, http.MethodDelete, clientPath(name, "/grant"), nil)
}

func (c *Client) status(ctx context.Context, method, path string, in any) (*Status, error) {
	var s Status
	body, err := c.call(ctx, method, path, in)
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(body, &s) != nil || s.Client == "" {
		return nil, c.unreadable("a client's state")
	}
	return &s, nil
}

// call sends a request with the key and returns the body of a successful answer.
// in is sent as JSON unless it is nil. After a 401 the request is sent again if
// the key file has changed.
func (c *Client) call(ctx context.Context, method, path string, in any) ([]byte, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, err
		}
	}
	key, err := c.key.get()
	if err != nil {
		return nil, err
	}
	answer, err := c.send(ctx, method, path, body, key)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusUnauthorized && c.key.changed(key) {
		if key, err = c.key.get(); err == nil {
			answer, err = c.send(ctx, method, path, body, key)
		}
	}
	if source := c.key.source(key); errors.As(err, &e) && e.Status == http.StatusUnauthorized && e.Hint != "" && source != "" {
		e.Hint += "; the key sent is that of " + source
	}
	return answer, err
}

// send sends a request once.
func (c *Client) send(ctx context.Context, method, path string, in []byte, key Secret) ([]byte, error) {
	var body io.Reader
	if in != nil {
		body = bytes.NewReader(in)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, addressError("", "invalid request URL: %v", err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key.Reveal())
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(c.base, err)
	}
	defer func() { _ = resp.Body.Close() }() // read only
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, unreachable(c.base, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(c.service.String(), resp.StatusCode, b)
	}
	return b, nil
}

// unreadable returns the error for a successful answer with an unexpected body.
func (c *Client) unreadable(what string) *Error {
	return &Error{
		Status: http.StatusOK, Code: CodeNotTokend, Description: "the answer of " + c.service.String() + " is not " + what,
		Hint: "check TOKEND_ADDR, TOKEND_LISTEN and TOKEND_SOCKET, and use a client of the service's version",
	}
}

func clientPath(name, rest string) string { return "/v1/clients/" + url.PathEscape(name) + rest }
