package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/tokend/pkg/flow"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 64 << 10

// offerTimeout is how long an answer waits for the discovery that a login URL needs.
const offerTimeout = 3 * time.Second

// loginAnswer is a login that has begun.
type loginAnswer struct {
	Client       string    `json:"client"`
	AuthorizeURL string    `json:"authorize_url"`
	State        string    `json:"state"`
	ExpiresAt    time.Time `json:"expires_at"`
	ExpiresIn    int64     `json:"expires_in"` // seconds
}

// startLogin begins a login for a person. With {"headless":true} it completes a login
// without a person and answers with the client's state.
func (d *api) startLogin(c *gin.Context) {
	cl := d.known(c)
	if cl == nil {
		return
	}
	var in struct {
		Headless bool `json:"headless"`
	}
	if p := readJSON(c, &in); p != nil {
		d.failFor(c, cl, p)
		return
	}
	if in.Headless {
		d.loginHeadless(c, cl)
		return
	}
	if cl.device() {
		d.startDevice(c, cl)
		return
	}
	if !cl.interactive() {
		d.failFor(c, cl, badRequest("this client's login needs no person").withHint(`send {"headless":true}`))
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), callTimeout)
	defer cancel()
	l, err := d.begin(ctx, cl)
	if err != nil {
		d.log.WarnContext(ctx, "login failed", failureOf(ctx, cl, err)...)
		d.failWith(c, cl, err)
		return
	}
	now := d.now()
	writeJSON(c, http.StatusOK, loginAnswer{
		Client: cl.Name(), AuthorizeURL: l.URL, State: l.State,
		ExpiresAt: l.Expires.UTC().Truncate(time.Second), ExpiresIn: int64(l.Expires.Sub(now) / time.Second),
	})
}

func (d *api) loginHeadless(c *gin.Context, cl *client) {
	ctx, cancel := detached(c.Request.Context())
	defer cancel()
	defer cl.life.use()()
	_, err := cl.LoginHeadless(ctx)
	if p := d.ended(ctx, cl, err); p != nil {
		d.failWith(c, cl, err)
		return
	}
	writeJSON(c, http.StatusOK, d.view(c.Request.Context(), cl))
}

// begin begins a login and keeps it for the callback.
func (d *api) begin(ctx context.Context, cl *client) (flow.Login, error) {
	l, err := cl.Client.Client.Login(ctx)
	if err != nil {
		return l, err
	}
	return l, d.logins.put(ctx, cl.Client, l)
}

// offer returns a URL where a person can log a client in, "" when there is none.
func (d *api) offer(ctx context.Context, cl *client) string {
	if !cl.interactive() {
		return ""
	}
	if l, ok := d.logins.offered(ctx, cl.Client); ok {
		return l.URL
	}
	ctx, cancel := context.WithTimeout(ctx, offerTimeout)
	defer cancel()
	l, err := d.begin(ctx, cl)
	if err != nil {
		d.log.DebugContext(ctx, "no login URL to offer", "client", cl.Name(), "error", err)
		return ""
	}
	return l.URL
}

// finishLogin completes a login with what the provider sent to the person's browser.
func (d *api) finishLogin(c *gin.Context) {
	cl := d.known(c)
	if cl == nil {
		return
	}
	query, p := readCallback(c)
	if p != nil {
		d.failFor(c, cl, p)
		return
	}
	if _, err := d.finish(c.Request.Context(), query, cl, ""); err != nil {
		d.failWith(c, cl, err)
		return
	}
	writeJSON(c, http.StatusOK, d.view(c.Request.Context(), cl))
}

// finish completes the login of a callback, which any process of the store may have
// begun: a login of that client, or of any client if it is nil. at is the path at which
// the browser arrived, which must be that of the redirect URI; "": a person has copied it.
// It returns the name of the login's client, "" for an unknown login.
func (d *api) finish(ctx context.Context, query url.Values, of *client, at string) (client string, err error) {
	states := query["state"]
	if len(states) != 1 || states[0] == "" {
		return "", flow.ErrState
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	var only *Client
	if of != nil {
		only = &of.Client
	}
	l, err := d.logins.take(ctx, states[0], only)
	if err != nil {
		return "", err
	}
	cl := d.clients[l.Login.Client]
	if cl == nil || !cl.owns(l) {
		return "", flow.ErrState
	}
	if u, err := url.Parse(l.Login.RedirectURL); at != "" && (err != nil || u.Path != at) {
		return "", &flow.Error{Op: "finish", Class: flow.ClassRequest, Description: "the callback is not at the redirect URI of its login", Hint: "start a new login"}
	}
	defer cl.life.use()()
	_, err = cl.Finish(ctx, l.Login, query)
	d.ended(ctx, cl, err)
	return cl.Name(), err
}

// ended records the result of a login, and logs a failure: the client logs a success.
func (d *Daemon) ended(ctx context.Context, cl *client, err error) *problem {
	if err == nil {
		d.logins.ended(cl.Name(), nil)
		return nil
	}
	p := problemOf(err)
	d.log.WarnContext(ctx, "login failed", failureOf(ctx, cl, err)...)
	d.logins.ended(cl.Name(), p)
	return p
}

// readCallback reads {"code","state"} or {"callback_url"} as the callback's query.
func readCallback(c *gin.Context) (url.Values, *problem) {
	var in struct {
		Code        string `json:"code"`
		State       string `json:"state"`
		CallbackURL string `json:"callback_url"`
	}
	if p := readJSON(c, &in); p != nil {
		return nil, p
	}
	switch {
	case in.CallbackURL != "" && (in.Code != "" || in.State != ""):
		return nil, badRequest("the body has both callback_url and code or state").withHint("send one or the other")
	case in.CallbackURL != "":
		u, err := url.Parse(in.CallbackURL)
		if err != nil {
			return nil, badRequest("callback_url is not a URL").withHint("send the whole address of the page that the browser ended on")
		}
		query, err := url.ParseQuery(u.RawQuery)
		if err != nil {
			return nil, badRequest("the query of callback_url is malformed").withHint("send the whole address of the page that the browser ended on")
		}
		return query, nil
	case in.Code == "" || in.State == "":
		return nil, badRequest("the body has neither callback_url nor both code and state").withHint(`send {"code":"…","state":"…"} or {"callback_url":"…"}`)
	}
	return url.Values{"code": {in.Code}, "state": {in.State}}, nil
}

// readJSON reads a body of one JSON object with no unknown members; no body is {}.
func readJSON(c *gin.Context, v any) *problem {
	dec := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		_, err = dec.Token() // io.EOF unless something follows
		if errors.Is(err, io.EOF) {
			return nil
		}
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return &problem{Status: http.StatusRequestEntityTooLarge, Code: "invalid_request", Description: "the body is larger than 64 KiB"}
	}
	return badRequest("the body is not the JSON object that this path expects") // the parser's text may quote a code
}

// failFor answers with p about a client.
func (d *Daemon) failFor(c *gin.Context, cl *client, p *problem) {
	p.Client = cl.Name()
	d.fail(c, p)
}
