package mock

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"example.com/tokend/pkg/mock/tenant"
)

// refusal returns a function, as advance does, that calls refuseAuthorize.
func (t *Tenant) refusal(c *call, req *authRequest, e *oauthError) func() {
	return func() { t.refuseAuthorize(c, req, e) }
}

// refuseAuthorize redirects to the client with an error. For a third-party client,
// where that would make the tenant an open redirector, it shows the error page.
func (t *Tenant) refuseAuthorize(c *call, req *authRequest, e *oauthError) {
	if req.device != nil {
		t.mu.Lock()
		req.device.state = "denied"
		t.mu.Unlock()
		t.errorPage(c, nil, e)
		return
	}
	protected := protectsRedirects(req.client)
	if e.Page || protected && e.Code == "access_denied" {
		t.errorPage(c, url.Values{"client_id": {req.client.ClientID}}, e)
		return
	}
	c.refused(e)
	t.answer(c, req, []member{{"error", e.Code}, {"error_description", e.Description}})
}

// protectsRedirects reports whether errors of a client stay away from its callbacks.
func protectsRedirects(c *tenant.Client) bool {
	return c.ThirdParty() && c.RedirectionPolicy != "allow_always"
}

// answer sends the parameters to the client in its response mode, with state
// last if the request had one.
func (t *Tenant) answer(c *call, req *authRequest, params []member) {
	if req.hasState {
		params = append(params, member{"state", req.state})
	}
	if req.nameIssuer {
		params = append(params, member{"iss", req.issuer}) // RFC 9207
	}
	switch req.mode {
	case "form_post":
		t.formPost(c, req, params)
	case "web_message":
		t.webMessage(c, req, params)
	case "fragment":
		redirect(c, req.redirectURI+"#"+query(params))
	default:
		redirect(c, mergeQuery(req.redirectURI, query(params)))
	}
}

// mergeQuery adds to the query that a redirect_uri may have (RFC 6749 section 3.1.2).
func mergeQuery(uri, q string) string {
	uri, fragment, hasFragment := strings.Cut(uri, "#")
	if hasFragment { // only a logout URL may have one
		q += "#" + fragment
	}
	switch {
	case !strings.Contains(uri, "?"):
		return uri + "?" + q
	case strings.HasSuffix(uri, "?") || strings.HasSuffix(uri, "&"):
		return uri + q
	}
	return uri + "&" + q
}

// formPost is OAuth 2.0 Form Post Response Mode: a form that submits itself,
// with a button for browsers without scripts.
func (t *Tenant) formPost(c *call, req *authRequest, params []member) {
	render(c, http.StatusOK, "form_post.html", map[string]any{
		"Action": template.URL(req.redirectURI), //nolint:gosec // a registered callback; its scheme may be an app's own
		"Params": fields(params),
	})
}

// webMessage posts the answer to the window that framed or opened /authorize.
func (t *Tenant) webMessage(c *call, req *authRequest, params []member) {
	response := map[string]string{}
	for _, p := range params {
		response[p.name] = p.value.(string)
	}
	render(c, http.StatusOK, "web_message.html", map[string]any{
		"Origin": originOf(req.redirectURI), "Response": response,
	})
}

// field is a hidden input.
type field struct{ Name, Value string }

func fields(params []member) []field {
	out := make([]field, 0, len(params))
	for _, p := range params {
		out = append(out, field{p.name, p.value.(string)})
	}
	return out
}

// errorPage shows an error that must not go to a redirect_uri: on the tenant's own
// page, or by a redirect to the error page that the tenant configures.
func (t *Tenant) errorPage(c *call, params url.Values, e *oauthError) {
	c.refused(e)
	t.mu.Lock()
	custom := t.st.settings.ErrorPage.URL
	t.mu.Unlock()
	if custom != "" {
		var known []member
		for _, p := range []member{
			{"client_id", params.Get("client_id")},
			{"connection", params.Get("connection")},
			{"lang", params.Get("ui_locales")},
			{"error", e.Code},
			{"error_description", e.Description},
			{"tracking", c.id},
		} {
			if p.value != "" {
				known = append(known, p)
			}
		}
		redirect(c, mergeQuery(custom, query(known)))
		return
	}
	detail := ""
	if strings.HasPrefix(e.Description, "Callback URL mismatch.") {
		detail = "The provided redirect_uri is not in the list of allowed callback URLs."
	}
	render(c, e.Status, "error.html", map[string]any{
		"Code": e.Code, "Description": e.Description, "Detail": detail, "Tracking": c.id, "Hint": e.Hint,
	})
}

// noTransactionPage is the recorded answer when a page has no transaction: no
// cookie, the back button, an expired transaction.
func (t *Tenant) noTransactionPage(c *call) {
	t.errorPage(c, c.query(), refuse("invalid_request", "You may have pressed the back button, refreshed during login, "+
		"opened too many login dialogs, or there is some issue with cookies, since we couldn't find your session.").withHint("%s", t.lostHint(c)))
}
