package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/guard"
	"example.com/tokend/internal/proxy"
	"example.com/tokend/pkg/flow"
)

// problem is the body of every error answer.
type problem struct {
	Code         string `json:"error"`
	Description  string `json:"error_description"`
	Hint         string `json:"hint,omitempty"` // what to do about it
	Client       string `json:"client,omitempty"`
	Login        string `json:"login,omitempty"`         // of a client without a grant: how it logs in
	AuthorizeURL string `json:"authorize_url,omitempty"` // of the same: where a person can log in
	Remedy       string `json:"remedy,omitempty"`        // of the same: "browser" or "setting", when a login as configured does not help

	ProviderError string `json:"provider_error,omitempty"` // the provider's code, when it refuses the request

	// Of a device login that waits for a person.
	VerificationURIComplete string `json:"verification_uri_complete,omitempty"`
	UserCode                string `json:"user_code,omitempty"`

	RetryAfter int `json:"retry_after,omitempty"` // seconds

	Status    int    `json:"-"`
	challenge string // of a 401
	method    string // how the client logs in; "": no person is needed
}

// codeInternal is the code of an error without a code of its own.
const codeInternal = "internal"

// problemOfRefusal is the answer to a request that the guard has refused.
func problemOfRefusal(f *guard.Refusal) *problem {
	return &problem{Status: f.Status, Code: f.Code, Description: f.Description, Hint: f.Hint, Client: f.Client, RetryAfter: f.RetryAfter, challenge: f.Challenge}
}

// fail answers with p.
func (d *Daemon) fail(c *gin.Context, p *problem) {
	if p.challenge != "" {
		c.Header("WWW-Authenticate", p.challenge)
	}
	if p.RetryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	c.Header(proxy.ErrorHeader, p.Code) // distinguishes it from an answer of an upstream
	writeJSON(c, p.Status, p)
}

// failWith answers with an error of package flow.
func (d *api) failWith(c *gin.Context, cl *client, err error) {
	p := problemOf(err)
	p.Client, p.method = cl.Name(), cl.Login
	if p.Code == codeInternal {
		d.log.ErrorContext(c.Request.Context(), "unexpected error", "client", cl.Name(), "reason", err.Error(), "hint", bugHint)
	}
	switch flow.Class(p.Code) {
	case flow.ClassLoginRequired, flow.ClassClientRejected, flow.ClassRestored: // a login may fix each of them
		p.Login = cl.Login
		if guard.CallerOf(c.Request.Context()).MayManage() {
			p.AuthorizeURL = d.offer(c.Request.Context(), cl)
			pendingDevice(cl, p)
		}
	}
	p.advise()
	d.fail(c, p)
}

// statusOf returns the status of a class of errors. 4xx: a person must act, or the
// configuration must change. 503: a retry helps. Never 429, whose body Terraform's http
// data source hides.
func statusOf(class flow.Class) int {
	switch class {
	case flow.ClassRequest:
		return http.StatusBadRequest
	case flow.ClassUpstream:
		return http.StatusForbidden
	case flow.ClassLoginRequired, flow.ClassClientRejected, flow.ClassConfig, flow.ClassRestored:
		return http.StatusConflict
	case flow.ClassBadResponse, flow.ClassRedirect:
		return http.StatusBadGateway
	case flow.ClassUnreachable, flow.ClassTimeout, flow.ClassRateLimited, flow.ClassLeaseBusy, flow.ClassStoreUnavailable:
		return http.StatusServiceUnavailable
	default: // store_corrupt
		return http.StatusInternalServerError
	}
}

// problemOf turns an error of a flow client into an answer. It leaves out the text of
// an error that is not a flow.Error: it may contain a secret.
func problemOf(err error) *problem {
	var e *flow.Error
	p := &problem{Status: http.StatusInternalServerError, Code: codeInternal, Description: "unexpected error; see tokend's log"}
	switch {
	case errors.Is(err, flow.ErrState):
		return &problem{
			Status: http.StatusBadRequest, Code: "invalid_state",
			Description: "the state is unknown, used or expired", Hint: "start a new login",
		}
	case errors.As(err, &e):
		p = &problem{Status: statusOf(e.Class), Code: string(e.Class), Description: describe(e), Hint: e.Hint, Remedy: string(e.Remedy)}
		switch {
		case p.Status == http.StatusServiceUnavailable:
			p.RetryAfter = seconds(e.RetryAfter)
		case e.Class == flow.ClassRequest:
			p.ProviderError = e.Code
		}
	case errors.Is(err, flow.ErrLogin), errors.Is(err, flow.ErrNotFound):
		p = &problem{Status: http.StatusConflict, Code: string(flow.ClassLoginRequired), Description: "there is no grant yet"}
	case errors.Is(err, flow.ErrLocked), errors.Is(err, flow.ErrConflict):
		p = &problem{
			Status: http.StatusServiceUnavailable, Code: string(flow.ClassLeaseBusy), RetryAfter: 1,
			Description: "another process is changing the grant",
		}
	case errors.Is(err, flow.ErrCorrupt):
		p = &problem{Status: http.StatusInternalServerError, Code: string(flow.ClassStoreCorrupt), Description: "the stored grant cannot be read"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		p = &problem{
			Status: http.StatusServiceUnavailable, Code: string(flow.ClassTimeout), RetryAfter: 1,
			Description: "no token in time; the refresh continues",
		}
	}
	return p
}

// describe returns the error in one line.
func describe(e *flow.Error) string {
	s := e.Description
	switch {
	case s != "":
	case e.Err != nil:
		s = e.Op + ": " + strings.ReplaceAll(e.Err.Error(), "\n", " ")
	default:
		s = e.Op + " failed"
	}
	if e.Code != "" && e.Code != string(e.Class) {
		s = e.Code + ": " + s
	}
	return strings.ReplaceAll(s, "hint: ", "hint ") // a provider's text must not look like tokend's hint
}

// withHint adds a hint.
func (p *problem) withHint(hint string) *problem {
	p.Hint = hint
	return p
}

// seconds rounds up, to at least one: callers would retry in a loop after 0.
func seconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }

// writeJSON answers with v, unescaped: URLs stay readable and copyable.
func writeJSON(c *gin.Context, status int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // v has no JSON form
	}
	body := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	h := c.Writer.Header()
	h["Content-Type"] = jsonType
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	h["Content-Length"] = []string{strconv.Itoa(len(body))} // net/http sets none for HEAD
	c.Writer.WriteHeader(status)
	_, _ = c.Writer.Write(body) // the caller may be gone
}
