package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// RemoteConfig is where a tokend is and which of its clients is meant.
type RemoteConfig struct {
	Client string           // its name in tokend's configuration
	Addr   string           // "http://127.0.0.1:8484" or "unix:/path/to/tokend.sock"
	Key    Secret           // caller key; a unix socket needs none
	Now    func() time.Time // nil: time.Now
}

// Remote is a client that a tokend of this machine keeps, over its HTTP API. A
// token is held in memory until a tenth of its life, at most a minute, is left.
// It is an [oauth2.TokenSource] and a [Getter], and safe for concurrent use.
type Remote struct {
	cfg  RemoteConfig
	base string // URL of the client
	http *http.Client

	mu    sync.Mutex
	slots map[string]*slot // by audience and scopes
}

// slot is one kind of token; one at a time asks tokend for it.
type slot struct {
	turn chan struct{}
	mu   sync.Mutex
	held *heldToken
}

type heldToken struct {
	token  *Token
	margin time.Duration // what must be left of it
}

// NewRemote returns the client of c. It does no I/O.
func NewRemote(c RemoteConfig) (*Remote, error) {
	if c.Client == "" {
		return nil, configError("set it to a client's name in tokend's configuration", "the client is missing")
	}
	h, base, err := LocalClient(c.Addr)
	if err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Remote{cfg: c, base: base + "/v1/clients/" + url.PathEscape(c.Client), http: h, slots: map[string]*slot{}}, nil
}

// Get returns a token that satisfies q, as [Client.Get] does. Failures are an
// [*Error]: their Class is the "error" of tokend's answer (such as
// "login_required", "unauthorized" or "unknown_client"), or [ClassService] when
// there was none.
func (r *Remote) Get(ctx context.Context, q Request) (*Token, error) {
	s := r.slot(q)
	before := s.load()
	if t := r.held(before, q); t != nil && !q.Force {
		return t, nil
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, serviceError(ctx.Err())
	}
	defer func() { <-s.turn }()
	now := s.load() // by who had the turn before
	if t := r.held(now, q); t != nil && (!q.Force || now != before) {
		return t, nil
	}
	t, err := r.fetch(ctx, q)
	if err != nil {
		return nil, err
	}
	s.store(&heldToken{token: t, margin: min(time.Minute, t.Remaining(r.cfg.Now())/10)})
	return t, nil
}

// Token implements [oauth2.TokenSource]. It waits for at most a minute.
func (r *Remote) Token() (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t, err := r.Get(ctx, Request{})
	if err != nil {
		return nil, err
	}
	o := &oauth2.Token{AccessToken: t.AccessToken.Reveal(), TokenType: t.TokenType, Expiry: t.Expiry}
	return o.WithExtra(map[string]any{"scope": t.Scope}), nil
}

// Close closes the connections that are kept for later requests.
func (r *Remote) Close() { r.http.CloseIdleConnections() }

func (r *Remote) slot(q Request) *slot {
	scopes := slices.Clone(q.Scopes)
	slices.Sort(scopes)
	key := q.Audience + " " + strings.Join(slices.Compact(scopes), " ")
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slots[key]
	if s == nil {
		if len(r.slots) >= maxTokens { // callers choose the keys
			clear(r.slots)
		}
		s = &slot{turn: make(chan struct{}, 1)}
		r.slots[key] = s
	}
	return s
}

func (s *slot) load() *heldToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

func (s *slot) store(h *heldToken) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = h
}

// held returns the token of h if it satisfies q, else nil.
func (r *Remote) held(h *heldToken, q Request) *Token {
	if h == nil || q.Not != "" && h.token.AccessToken == q.Not {
		return nil
	}
	if left := h.token.Remaining(r.cfg.Now()); left <= h.margin || left < q.MinValidity {
		return nil
	}
	return h.token
}

// fetch asks tokend, which refreshes first when q wants that.
func (r *Remote) fetch(ctx context.Context, q Request) (*Token, error) {
	if q.Force || q.Not != "" {
		in := map[string]string{}
		for name, value := range map[string]string{"refused": q.Not.Reveal(), "audience": q.Audience, "scope": strings.Join(q.Scopes, " ")} {
			if value != "" {
				in[name] = value
			}
		}
		if _, err := r.call(ctx, http.MethodPost, "/refresh", in); err != nil {
			return nil, err
		}
	}
	query := url.Values{}
	if q.MinValidity > 0 {
		query.Set("min_validity", q.MinValidity.String())
	}
	if q.Audience != "" {
		query.Set("audience", q.Audience)
	}
	if q.Scopes != nil {
		query.Set("scope", strings.Join(q.Scopes, " "))
	}
	asked := r.cfg.Now()
	body, err := r.call(ctx, http.MethodGet, "/token?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	return parseServed(body, q.Audience, asked)
}

// parseServed reads tokend's answer to a token request.
func parseServed(body []byte, audience string, asked time.Time) (*Token, error) {
	var a struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"` // seconds
		Scope       string `json:"scope"`
	}
	if err := json.Unmarshal(body, &a); err != nil || a.AccessToken == "" || !vschar(a.AccessToken) {
		return nil, &Error{Op: "tokend", Class: ClassBadResponse, Description: "the answer holds no token", Hint: "look at the address: is that tokend?"}
	}
	life := max(0, min(time.Duration(a.ExpiresIn), time.Duration(maxLifetime/time.Second))) * time.Second
	return &Token{
		AccessToken: Secret(a.AccessToken), TokenType: a.TokenType, Scope: a.Scope, Audience: audience,
		Obtained: asked, Expiry: asked.Add(life),
	}, nil
}

// call sends a request about the client and returns the body of a success. in
// is sent as JSON unless it is nil.
func (r *Remote) call(ctx context.Context, method, path string, in map[string]string) ([]byte, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, body)
	if err != nil {
		return nil, configError("set it to a client's name in tokend's configuration", "client %q cannot stand in a path", r.cfg.Client)
	}
	if r.cfg.Key != "" {
		req.Header.Set("Authorization", "Bearer "+r.cfg.Key.Reveal())
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, serviceError(err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxServed))
	if err != nil {
		return nil, serviceError(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refusedBy(resp.StatusCode, b)
	}
	return b, nil
}

// maxServed bounds an answer of tokend, in bytes.
const maxServed = 1 << 20

// serviceError is a failure before tokend has answered.
func serviceError(err error) *Error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	return &Error{
		Op: "tokend", Class: ClassService, Err: err, RetryAfter: time.Second,
		Description: "tokend does not answer: " + err.Error(), Hint: "start it with tokend serve, or look at its address",
	}
}

// refusedBy is an answer of tokend that is no success.
func refusedBy(status int, body []byte) *Error {
	var a struct {
		Code         string `json:"error"`
		Description  string `json:"error_description"`
		AuthorizeURL string `json:"authorize_url"`
		Client       string `json:"client"`
		Login        string `json:"login"`
		Remedy       Remedy `json:"remedy"`
		RetryAfter   int64  `json:"retry_after"` // seconds
	}
	if json.Unmarshal(body, &a) != nil || a.Code == "" {
		return &Error{
			Op: "tokend", Class: ClassBadResponse, Status: status,
			Description: "what answers is not tokend", Hint: "look at the address",
		}
	}
	text, hint, _ := strings.Cut(a.Description, "hint: ")
	e := &Error{
		Op: "tokend", Class: Class(clean(a.Code, 64)), Remedy: Remedy(clean(string(a.Remedy), 64)), Status: status,
		Description: clean(strings.TrimRight(text, "; \n"), 1024), Hint: clean(hint, 1024),
		RetryAfter: bounded(time.Duration(min(a.RetryAfter, 3600)) * time.Second),
	}
	switch {
	case a.Remedy == RemedySetting:
	case a.Login == "headless" && a.Remedy == RemedyLogin:
		e.Hint = "tokend login " + clean(a.Client, 64)
	case a.AuthorizeURL != "":
		e.Hint = "log in at " + clean(a.AuthorizeURL, 4096)
	}
	return e
}
