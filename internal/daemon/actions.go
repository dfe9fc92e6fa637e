package daemon

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/guard"
	"example.com/tokend/pkg/flow"
)

// actionsIDToken answers like the token service of GitHub Actions, for
// software that supports no other: it requests ACTIONS_ID_TOKEN_REQUEST_URL with
// &audience= appended, and reads "value". The value is the access token for that
// audience, the client's own when the request names none.
// https://docs.github.com/en/actions/reference/security/oidc
func (d *api) actionsIDToken(c *gin.Context) {
	cl := d.known(c)
	if cl == nil {
		return
	}
	r, p := d.actionsRequest(c.Request, cl)
	if p != nil {
		p.Client = cl.Name()
		d.fail(c, p)
		return
	}
	noteAudience(c, cl, r.Audience)
	if p := cl.refusesAudience(guard.CallerOf(c.Request.Context()), r.Audience); p != nil {
		d.failFor(c, cl, p)
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), callTimeout)
	defer cancel()
	t, err := cl.get(ctx, r)
	if err != nil {
		d.failWith(c, cl, err)
		return
	}
	writeJSON(c, http.StatusOK, struct {
		Value string `json:"value"`
	}{t.AccessToken.Reveal()})
}

func (d *Daemon) actionsRequest(r *http.Request, cl *client) (flow.Request, *problem) {
	var want flow.Request
	if !cl.ActionsIDToken {
		return want, &problem{
			Status: http.StatusNotFound, Code: "not_found",
			Description: "this client does not answer in GitHub's form", Hint: "set actions_id_token: true for it",
		}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil { // ParseQuery drops what it cannot read, which could be the audience
		return want, badRequest("the query is malformed").withHint("percent-encode the audience")
	}
	for name, v := range query {
		switch {
		case len(v) != 1:
			return want, badRequest("parameter " + strconv.Quote(name) + " appears more than once").withHint("send it once")
		case name == "audience":
			want.Audience = v[0]
		case name != "api-version": // callers copy it from the URL
			return want, badRequest("unknown parameter " + strconv.Quote(name)).withHint("the parameter is audience")
		}
	}
	return want, nil
}
