package daemon

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/guard"
	"example.com/tokend/internal/near"
	"example.com/tokend/pkg/flow"
)

// clientView is a client's state as the API shows it.
type clientView struct {
	flow.Status
	Login        string        `json:"login,omitempty"`         // how it is configured to log in
	Hosts        []string      `json:"hosts,omitempty"`         // that credential helpers may give its tokens to
	AuthorizeURL string        `json:"authorize_url,omitempty"` // where a person can log in, when one must
	LoginFailure *flow.Failure `json:"login_failure,omitempty"` // of the last failed login, until a login or a refresh succeeds
	Env          []string      `json:"env,omitempty"`           // variables that "tokend exec" sets
	Files        []FileStatus  `json:"files,omitempty"`         // that hold its token
	Upstreams    []string      `json:"upstreams,omitempty"`     // that the proxy may reach
}

// known returns the client in the path, or nil after answering 404.
func (d *api) known(c *gin.Context) *client {
	name := c.Param("client")
	cl := d.clients[name]
	if cl == nil {
		d.fail(c, &problem{
			Status: http.StatusNotFound, Code: "unknown_client",
			Description: fmt.Sprintf("there is no client %q", name), Hint: d.nearNames(guard.CallerOf(c.Request.Context()), name), Client: name,
		})
	}
	return cl
}

// nearNames suggests clients with a similar name, of those that the caller may use.
// Its cost does not grow with the number of clients.
func (d *api) nearNames(caller *guard.Caller, name string) string {
	const window = 32 // a name with a typo usually sorts next to the right one
	at, _ := slices.BinarySearch(d.names, name)
	around := d.names[max(0, at-window):min(len(d.names), at+window)]
	seen := slices.DeleteFunc(slices.Clone(around), func(name string) bool { return !caller.May(name) })
	if names := near.Names(name, seen, 3); len(names) > 0 {
		return "did you mean " + strings.Join(names, ", ") + "?"
	}
	if len(seen) > 0 && len(seen) <= 3 && len(d.names) <= window {
		return "the clients are " + strings.Join(seen, ", ")
	}
	return "tokend status lists the clients"
}

func (d *api) view(ctx context.Context, cl *client) clientView {
	st := cl.Status()
	v := clientView{Status: st, Login: cl.Login, Hosts: cl.Hosts, LoginFailure: d.logins.failure(&st), Env: cl.Env}
	if f := v.Failure; f != nil && f.Class != flow.ClassLoginRequired { // whose hint depends on the login
		own := *f
		own.Hint = withLogin(f.Hint, cl.Name(), cl.Login)
		v.Failure = &own
	}
	if cl.Files != nil {
		v.Files = cl.Files()
	}
	for _, u := range cl.Upstreams {
		v.Upstreams = append(v.Upstreams, u.String())
	}
	manages := guard.CallerOf(ctx).MayManage()
	if !manages {
		v.DeviceLogin = nil // with its code another person could log in
	}
	if l := v.DeviceLogin; l != nil && l.Failure != nil {
		f := *l.Failure
		if f.Code != "" { // as in describe
			f.Description = f.Code + ": " + f.Description
		}
		v.LoginFailure = &f
	}
	if manages && (v.State == flow.StateLoginRequired || v.State == flow.StateRestored) {
		if l, ok := d.logins.offered(ctx, cl.Client); ok { // asking for the status does not start a login
			v.AuthorizeURL = l.URL
		}
	}
	return v
}

func (d *api) listClients(c *gin.Context) {
	caller := guard.CallerOf(c.Request.Context())
	views := []clientView{}
	ctx, cancel := context.WithTimeout(c.Request.Context(), offerTimeout) // a store that does not answer must not delay each client
	defer cancel()
	for _, name := range d.names {
		if caller.May(name) {
			views = append(views, d.view(ctx, d.clients[name]))
		}
	}
	writeJSON(c, http.StatusOK, struct {
		Clients []clientView `json:"clients"`
	}{views})
}

func (d *api) getClient(c *gin.Context) {
	if cl := d.known(c); cl != nil {
		writeJSON(c, http.StatusOK, d.view(c.Request.Context(), cl))
	}
}

// refresh forces a new access token, as after a downstream 401. If the caller
// names the refused token, a refresh happens only if that token is still the current
// one. The answer is the client's state; a caller requests the token separately.
func (d *api) refresh(c *gin.Context) {
	cl := d.known(c)
	if cl == nil {
		return
	}
	var in struct {
		Refused  flow.Secret `json:"refused"`
		Audience string      `json:"audience"`
		Scope    string      `json:"scope"`
	}
	if p := readJSON(c, &in); p != nil {
		d.failFor(c, cl, p)
		return
	}
	noteAudience(c, cl, in.Audience)
	if p := cl.refusesAudience(guard.CallerOf(c.Request.Context()), in.Audience); p != nil {
		d.failFor(c, cl, p)
		return
	}
	r := flow.Request{Force: in.Refused == "", Not: in.Refused, Audience: in.Audience}
	if in.Scope != "" {
		r.Scopes = strings.Fields(in.Scope)
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), callTimeout)
	defer cancel()
	if _, err := cl.get(ctx, r); err != nil {
		d.log.WarnContext(ctx, "refresh failed", failureOf(ctx, cl, err)...)
		d.failWith(c, cl, err)
		return
	}
	writeJSON(c, http.StatusOK, d.view(c.Request.Context(), cl))
}

func (d *api) forget(c *gin.Context) {
	cl := d.known(c)
	if cl == nil {
		return
	}
	ctx, cancel := detached(c.Request.Context())
	defer cancel()
	defer cl.life.use()()
	if err := d.logins.drop(ctx, cl.Client); err != nil {
		d.failWith(c, cl, err)
		return
	}
	if err := cl.Forget(ctx); err != nil {
		d.log.WarnContext(ctx, "logout failed", failureOf(ctx, cl, err)...)
		d.failWith(c, cl, err)
		return
	}
	writeJSON(c, http.StatusOK, d.view(c.Request.Context(), cl))
}

// detached is for work that must complete even if the caller leaves: an
// authorization code works once.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), callTimeout+5*time.Second)
}
