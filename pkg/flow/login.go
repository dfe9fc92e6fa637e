package flow

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Login is a pending login, with what its callback is checked against. The
// [Client] does not keep it; the caller keeps it until [Client.Finish] or
// Expires. Its JSON contains its secrets; printing it masks the verifier.
type Login struct {
	Client      string    `json:"client"` // its Config.Name
	URL         string    `json:"url"`    // to open in a browser
	State       string    `json:"state"`
	Verifier    Secret    `json:"-"` // of PKCE (RFC 7636); in the JSON as "verifier"
	Nonce       string    `json:"nonce"`
	RedirectURL string    `json:"redirect_uri"`
	Audience    string    `json:"audience,omitempty"`
	Scopes      []string  `json:"scopes,omitempty"`
	Expires     time.Time `json:"expires"` // after 10 minutes; of a device login, when its code expires

	// Of a device login, which has no state, verifier or nonce.
	DeviceCode      Secret `json:"-"`                          // for polling; in the JSON as "device_code"
	UserCode        string `json:"user_code,omitempty"`        // what the person confirms
	VerificationURI string `json:"verification_uri,omitempty"` // the page, without the code in its URL
	Interval        int    `json:"interval,omitempty"`         // between polls, in seconds
}

type loginFile struct {
	*loginAlias
	Verifier   string `json:"verifier"`
	DeviceCode string `json:"device_code,omitempty"`
}

type loginAlias Login

// MarshalJSON writes verifier and device code in the clear.
func (l Login) MarshalJSON() ([]byte, error) {
	return json.Marshal(loginFile{loginAlias: (*loginAlias)(&l), Verifier: l.Verifier.Reveal(), DeviceCode: l.DeviceCode.Reveal()})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (l *Login) UnmarshalJSON(b []byte) error {
	f := loginFile{loginAlias: (*loginAlias)(l)}
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	l.Verifier, l.DeviceCode = Secret(f.Verifier), Secret(f.DeviceCode)
	return nil
}

// ID identifies a pending login: its state, or the device code of a device login.
// Both are secrets.
func (l Login) ID() string { return cmp.Or(l.State, l.DeviceCode.Reveal()) }

// LogValue implements [slog.LogValuer]: client and expiry.
func (l Login) LogValue() slog.Value {
	return slog.GroupValue(slog.String("client", l.Client), slog.Time("expires", l.Expires))
}

// ownParams are the authorization request parameters that the client sets.
var ownParams = []string{
	"response_type", "response_mode", "client_id", "redirect_uri", "state", "nonce", "code_challenge",
	"code_challenge_method", "scope", "audience", "request", "request_uri",
}

// Login begins a login: discovery, and new state, PKCE verifier and nonce. For
// [Device] it requests a code and starts to poll until the login ends, even if
// no caller waits. If the store is a [LoginKeeper], another process with this client,
// or this one after a restart, continues to poll; otherwise a restart cancels the
// login. A pending device login is returned as long as half of its time is left.
func (c *Client) Login(ctx context.Context) (Login, error) {
	switch c.cfg.Source.(type) {
	case Device:
		return c.loginDevice(ctx)
	case AuthorizationCode:
	default:
		return Login{}, &Error{
			Op: "login", Class: ClassRequest, Description: "grant type " + c.cfg.Source.source() + " needs no login",
		}
	}
	m, err := c.provider.endpoints(ctx)
	if err != nil {
		return Login{}, err
	}
	return c.login(ctx, m)
}

// login builds the authorization request, and pushes it if that is required.
func (c *Client) login(ctx context.Context, m *metadata) (Login, error) {
	if c.cfg.RedirectURL == "" {
		return Login{}, &Error{
			Op: "login", Class: ClassConfig, Description: "the client has no redirect_uri",
			Hint: "set it to one of the application's allowed callback URLs",
		}
	}
	u, err := url.Parse(m.Authorization)
	if err != nil {
		return Login{}, &Error{Op: "login", Class: ClassBadResponse, Description: "the authorization endpoint is not a URL", Err: err}
	}
	var random [3]string // 256 bits each
	for i := range random {
		b := make([]byte, 32)
		if _, err := io.ReadFull(c.cfg.Rand, b); err != nil {
			return Login{}, &Error{Op: "login", Class: ClassConfig, Description: "no randomness", Err: err}
		}
		random[i] = base64.RawURLEncoding.EncodeToString(b)
	}
	l := Login{
		Client: c.cfg.Name, State: random[0], Verifier: Secret(random[1]), Nonce: random[2],
		RedirectURL: c.cfg.RedirectURL, Audience: c.cfg.Audience, Scopes: slices.Clone(c.cfg.Scopes),
		Expires: c.cfg.Now().Round(0).Add(loginLifetime),
	}
	q, err := c.authorizeQuery(ctx, m, l, random[1])
	if err != nil {
		return Login{}, err
	}
	all := u.Query()
	maps.Copy(all, q)
	u.RawQuery = all.Encode()
	l.URL = u.String()
	return l, nil
}

// authorizeQuery returns the parameters of the authorization request. If the
// request was pushed, that is its reference (RFC 9126 section 4).
func (c *Client) authorizeQuery(ctx context.Context, m *metadata, l Login, verifier string) (url.Values, error) {
	q := url.Values{}
	s, _ := c.cfg.Source.(AuthorizationCode)
	maps.Copy(q, s.Params)
	challenge := sha256.Sum256([]byte(verifier))
	for k, v := range map[string]string{
		"response_type": "code", "client_id": c.cfg.ClientID, "redirect_uri": l.RedirectURL, "state": l.State, "nonce": l.Nonce,
		"code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
		"scope": strings.Join(l.Scopes, " "), "audience": l.Audience,
	} {
		if v != "" {
			q.Set(k, v)
		}
	}
	c.setResources(q, "")
	if !c.pushes(m) {
		return q, nil
	}
	uri, e := c.push(ctx, m, q)
	if e != nil {
		return nil, e
	}
	return url.Values{"client_id": {c.cfg.ClientID}, "request_uri": {uri}}, nil
}

// Finish finishes a login with the query of its callback: it checks state, expiry
// and issuer, exchanges the code, verifies the ID token and stores the grant
// durably. A wrong state is [ErrState]; a refusal by the provider is an [*Error]
// with the provider's code. For [Device] there is no callback: it waits until the
// login ends.
func (c *Client) Finish(ctx context.Context, l Login, callback url.Values) (*Grant, error) {
	if _, ok := c.cfg.Source.(Device); ok {
		return c.finishDevice(ctx, l)
	}
	if e := c.checkState(l, callback); e != nil {
		return nil, e
	}
	m, err := c.provider.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	code, e := c.checkCallback(l, callback, m)
	if e != nil {
		return nil, e
	}
	f := c.launch(ctx, "finish "+l.State, func(ctx context.Context, f *flight) { f.err = c.finish(ctx, f, m, l, code) })
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, f.timeoutError(ctx)
	}
	if f.err != nil {
		return nil, f.err
	}
	return c.grant(), nil
}

// finish exchanges the code under the lease, in a context of its own, so that a
// person who closes the browser does not lose the grant.
func (c *Client) finish(ctx context.Context, f *flight, m *metadata, l Login, code Secret) *Error {
	h, e := c.lock(ctx, f)
	if e != nil {
		return e
	}
	defer h.release()
	prior, revision, e := c.read(ctx)
	if e != nil {
		return e
	}
	if _, e = c.redeem(ctx, f, h, m, l, code, prior, revision); e != nil {
		return e // a failed login changes nothing
	}
	c.clearLoginFailures()
	return nil
}

// clearLoginFailures clears what a login resolves: failures, back-off and pauses.
func (c *Client) clearLoginFailures() {
	c.mu.Lock()
	clear(c.backoffs)
	clear(c.noGainRuns)
	c.mu.Unlock()
	c.succeeded()
}

// storeLogin stores the grant of a login.
func (c *Client) storeLogin(ctx context.Context, f *flight, h *heldLease, g, prior *Grant) *Error {
	h.replaces = loginOf(prior)
	if prior != nil {
		g.Reported = prior.Reported
	}
	keepRefreshToken(g, prior)
	if e := c.persist(ctx, f, h, g); e != nil {
		return e
	}
	c.log().InfoContext(ctx, "logged in", "scope", g.Tokens[0].Scope, "expiry", g.Tokens[0].Expiry, "refreshable", g.RefreshToken != "")
	return nil
}

// checkState checks that a callback belongs to the login l.
func (c *Client) checkState(l Login, callback url.Values) *Error {
	e := &Error{Op: "finish", Class: ClassRequest, Err: ErrState, Hint: "begin a new login"}
	state := callback["state"]
	switch {
	case l.State == "" || l.Client != c.cfg.Name || len(state) != 1,
		subtle.ConstantTimeCompare([]byte(state[0]), []byte(l.State)) != 1:
		e.Description = "the callback does not belong to a login that began here"
	case !c.cfg.Now().Before(l.Expires):
		e.Description = "the login has expired"
	default:
		return nil
	}
	return e
}

// checkCallback returns the code of a callback (RFC 6749 section 4.1.2, RFC 9207).
func (c *Client) checkCallback(l Login, callback url.Values, m *metadata) (Secret, *Error) {
	if e := c.checkState(l, callback); e != nil {
		return "", e
	}
	refuse := func(what string) (Secret, *Error) {
		return "", &Error{Op: "finish", Class: ClassRequest, Description: what, Hint: "begin a new login"}
	}
	iss, code, code2 := callback["iss"], callback["code"], callback["error"]
	switch {
	case len(iss) > 1 || len(iss) == 1 && iss[0] != c.cfg.Issuer:
		return refuse("the callback is from another issuer")
	case len(iss) == 0 && m.IssParameter:
		return refuse("the callback has no iss parameter, although the provider announces it")
	case len(code) > 0 && len(code2) > 0:
		return refuse("the callback has both a code and an error")
	case len(code2) > 0:
		e := &Error{
			Op: "login", Code: clean(code2[0], 64),
			Description: clean(redact(callback.Get("error_description"), []string{l.State, l.Verifier.Reveal(), l.Nonce}), 256),
		}
		classifyCode(e)
		c.addSettingHint(e)
		describeByCode(e)
		if e.Code == "server_error" || e.Code == "temporarily_unavailable" {
			e.Class = ClassUnreachable
		}
		return "", e
	case len(code) != 1 || code[0] == "" || !vschar(code[0]):
		return refuse("the callback has no code")
	}
	return Secret(code[0]), nil
}

// redeem exchanges a code and stores the grant. It stores nothing if the ID token
// does not verify.
func (c *Client) redeem(ctx context.Context, f *flight, h *heldLease, m *metadata, l Login, code Secret, prior *Grant, revision int64) (*Grant, *Error) {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code.Reveal()}, "redirect_uri": {l.RedirectURL},
		"code_verifier": {l.Verifier.Reveal()},
	}
	c.setResources(form, "")
	sent := c.cfg.Now().Round(0)
	a, o, e := c.post(ctx, "exchange", m.Token, form, sendOptions{})
	if o != succeeded {
		return nil, e
	}
	c.skew(a.date, sent)
	g, e := c.grantOf(ctx, l, a, sent)
	if e != nil {
		return nil, e
	}
	g.Revision = revision
	return g, c.storeLogin(ctx, f, h, g, prior)
}

// keepRefreshToken copies the refresh token of the previous grant to one without
// a refresh token, for the same subject. Some providers issue it only at the
// first login.
func keepRefreshToken(g, prior *Grant) {
	if g.RefreshToken != "" || prior == nil || prior.RefreshToken == "" || prior.State == GrantDead || prior.Moved ||
		g.Subject == "" || g.Subject != prior.Subject {
		return
	}
	g.RefreshToken, g.Rotation, g.Intent = prior.RefreshToken, prior.Rotation, prior.Intent
	g.Generation = prior.Generation + 1
	g.Tokens[0].Generation = g.Generation
	if prior.State == GrantUncertain {
		g.State = GrantUncertain
	}
}

// grantOf returns the grant of a login's answer, after verification.
func (c *Client) grantOf(ctx context.Context, l Login, a answer, sent time.Time) (*Grant, *Error) {
	g := c.emptyGrant(nil, 0)
	g.State = GrantActive
	g.Generation, g.LoggedIn, g.Exchanged, g.Scopes = 1, sent, sent, l.Scopes
	g.RefreshToken, g.IDToken = Secret(a.refresh), Secret(a.id)
	t, why := c.token(a, sent, g.Generation, want{})
	switch {
	case t == nil:
		return nil, &Error{Op: "exchange", Class: ClassBadResponse, Status: 200, Description: why}
	case a.id == "" && slices.Contains(l.Scopes, "openid"):
		return nil, &Error{Op: "exchange", Class: ClassBadResponse, Status: 200, Description: "the answer has no id_token, although the scope openid was requested"}
	case a.id != "":
		id, err := c.provider.verify(ctx, "exchange", a.id, expected{nonce: l.Nonce, accessToken: a.access})
		if err != nil {
			return nil, asError("exchange", err)
		}
		g.Subject, g.AuthTime = id.subject, id.authTime
	}
	t.unverified = false
	g.Tokens = []*Token{t}
	return g, nil
}
