package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

const (
	callback = "http://localhost:8484/callback"
	api      = "https://api.example.com/"
	verifier = "a-verifier-of-forty-three-characters-or-more"
)

// client is the browser and the application, the same ones for every mock.
type client struct {
	http      *http.Client
	authorize string
	token     string
	login     bool   // the mock asks for a login, once
	audience  string // name of the parameter that chooses the API; "": none
	scope     string
}

func newClient(s *server, authorize, token string) *client {
	return &client{
		authorize: s.base + authorize, token: s.base + token,
		http: &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 4},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// keepSession makes the client a browser that stays logged in.
func (c *client) keepSession(ctx context.Context) error {
	c.login = true
	var err error
	if c.http.Jar, err = cookiejar.New(nil); err != nil {
		return err
	}
	_, err = c.flow(ctx, "agent@example.com")
	c.login = false
	return err
}

func (c *client) do(ctx context.Context, method, target string, form url.Values) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, nil, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return res, body, err
}

// flow is an authorization code flow with PKCE, state and nonce. It returns the refresh
// token.
func (c *client) flow(ctx context.Context, user string) (string, error) {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {"demo"}, "redirect_uri": {callback}, "state": {"s"}, "nonce": {"n"},
		"scope": {c.scope}, "login_hint": {user},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	if c.audience != "" {
		q.Set(c.audience, api)
	}
	location, err := c.follow(ctx, c.authorize+"?"+q.Encode())
	if err != nil {
		return "", err
	}
	u, err := url.Parse(location)
	if err != nil || u.Query().Get("code") == "" {
		return "", fmt.Errorf("%s: no code: %s", c.authorize, location)
	}
	return c.tokens(ctx, url.Values{
		"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier},
	})
}

// follow follows redirects to the callback, and logs in on the page on the way.
func (c *client) follow(ctx context.Context, target string) (string, error) {
	for range 10 {
		res, body, err := c.do(ctx, http.MethodGet, target, nil)
		if err != nil {
			return "", err
		}
		if res.StatusCode == http.StatusOK && c.login {
			form := url.Values{"prompt": {"login"}, "login": {"agent@example.com"}, "password": {"password"}}
			if res, body, err = c.do(ctx, http.MethodPost, target, form); err != nil {
				return "", err
			}
		}
		next, err := res.Location()
		if err != nil {
			return "", fmt.Errorf("%s: %s %s", target, res.Status, body)
		}
		if target = next.String(); strings.HasPrefix(target, callback) {
			return target, nil
		}
	}
	return "", fmt.Errorf("%s: too many redirects", c.authorize)
}

func (c *client) refresh(ctx context.Context, token string) error {
	_, err := c.tokens(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
	return err
}

// machine gets a token by client credentials.
func (c *client) machine(ctx context.Context) error {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"read:calls"}}
	if c.audience != "" {
		form.Set(c.audience, api)
	}
	_, err := c.tokens(ctx, form)
	return err
}

// tokens sends a token request and returns the refresh token of the answer. An answer
// of a user's grant must have two JWTs, and one of a machine's grant one.
func (c *client) tokens(ctx context.Context, form url.Values) (string, error) {
	form.Set("client_id", "demo")
	form.Set("client_secret", "demo-secret")
	res, body, err := c.do(ctx, http.MethodPost, c.token, form)
	if err != nil {
		return "", err
	}
	var t struct {
		Access  string `json:"access_token"`
		ID      string `json:"id_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal(body, &t); err != nil || res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s %s", c.token, res.Status, body)
	}
	user := form.Get("grant_type") != "client_credentials"
	if len(t.Access) < 300 || user && len(t.ID) < 300 {
		return "", fmt.Errorf("%s: not a JWT: %s", c.token, body)
	}
	return t.Refresh, nil
}
