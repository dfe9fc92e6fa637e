package mock

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

const (
	callbackPath = "/_mock/callback"

	// consoleVerifier is the PKCE verifier of the console's own logins. It protects
	// nothing: the code goes to the tenant that issued it.
	consoleVerifier = "mockauth0-console-mockauth0-console-mockauth0"
)

func consoleChallenge() string {
	sum := sha256.Sum256([]byte(consoleVerifier))
	return encode(sum[:])
}

// openedToken is a token that a person pasted, or one that was issued for them.
type openedToken struct {
	Raw     string // of an issued one
	Verdict string
	Good    bool
	Header  string
	Claims  string
}

// actToken does what a form about a token asks for. It returns nil for any other form.
func (t *Tenant) actToken(form url.Values, issuer string) (*openedToken, error) {
	switch form.Get("action") {
	case "decode":
		return t.open(strings.TrimSpace(form.Get("token"))), nil
	case "token-issue":
		raw, o, err := t.issue(TokenSpec{User: form.Get("user"), Audience: form.Get("audience")}, issuer)
		if err != nil {
			return nil, err
		}
		opened := t.open(raw)
		opened.Raw, opened.Good = raw, true
		opened.Verdict = "Issued for " + o.client.ClientID + ". Expires in " + span(o.lifetime()) + "."
		return opened, nil
	}
	return nil, nil //nolint:nilnil // another form
}

// showOpened is the page Tokens with a token.
func (t *Tenant) showOpened(w http.ResponseWriter, r *http.Request, at address, page consolePage, opened *openedToken) {
	fill := page.fill
	page.fill = func(t *Tenant, r *http.Request, v *consoleView) {
		fill(t, r, v)
		if d, ok := v.Data.(tokensData); ok {
			d.Opened = opened
			v.Data = d
		}
	}
	t.showConsole(w, r, at, page, "")
}

// open decodes a token and says what it is to this tenant.
func (t *Tenant) open(raw string) *openedToken {
	now := t.clock.Now()
	parts := strings.Split(raw, ".")
	o := &openedToken{Header: indented(decoded(parts[0]))}
	claims, ours := t.openJWT(raw)
	switch {
	case len(parts) == 5:
		if claims, ours = t.openOpaque(raw); ours {
			b, _ := json.Marshal(claims) // was JSON before
			o.Claims = indented(string(b))
		}
	case len(parts) == 3:
		o.Claims = indented(decoded(parts[1]))
	default:
		o.Verdict = "This is not a JWT. Refresh tokens and codes are opaque."
		return o
	}
	exp, _ := claims["exp"].(float64)
	switch left := time.Unix(int64(exp), 0).Sub(now); {
	case !ours:
		o.Verdict = "No RSA key of this tenant verifies the token."
	case left <= 0:
		o.Verdict = "Signed by this tenant. Expired " + span(-left) + " ago on its clock."
	default:
		o.Verdict, o.Good = "Signed by this tenant. Expires in "+span(left)+".", true
	}
	return o
}

// indented returns JSON as a person reads it.
func indented(raw string) string {
	var b bytes.Buffer
	if raw == "" || json.Indent(&b, []byte(raw), "", "  ") != nil {
		return raw
	}
	return b.String()
}

// callbackView is what the page after a login from the console shows.
type callbackView struct {
	Console                        string // its address; "" for no link
	Tenant, Client, ClientID, User string
	Error, Description, Hint       string
	Scope                          string
	Number                         int // of the token request in the journal
	Tokens                         []callbackToken
}

type callbackToken struct{ Name, Raw, Header, Claims string }

// callbackPage is GET /_mock/callback: the redirect_uri of the console's own logins. It
// exchanges the code as the client would, and shows for whom.
func (t *Tenant) callbackPage(w http.ResponseWriter, r *http.Request, at address) {
	q := r.URL.Query()
	v := callbackView{Console: at.console, Error: q.Get("error"), Description: q.Get("error_description")}
	t.mu.Lock()
	v.Tenant = cmp.Or(t.st.settings.FriendlyName, "mockauth0")
	cd := t.st.codes[hash(q.Get("code"))]
	var client tenant.Client
	if cd != nil && t.st.clients[cd.grant.client] != nil {
		client = *t.st.clients[cd.grant.client]
		v.Client, v.ClientID, v.User = cmp.Or(client.Name, client.ClientID), client.ClientID, t.userName(cd.grant.user)
	}
	t.mu.Unlock()
	switch {
	case v.Error != "":
	case client.ClientID == "":
		v.Error, v.Description = "no_code", "This page shows the result of a login from the console. The address has no code of this tenant."
	case client.TokenEndpointAuthMethod == "private_key_jwt":
		v.Hint = "The client authenticates with its own key, so the console cannot exchange the code."
	default:
		t.exchangeForPage(r.Context(), &v, client, q.Get("code"), at)
	}
	status := http.StatusOK
	if v.Error != "" {
		status = http.StatusBadRequest
	}
	writePage(w, status, pagePolicy()+"; frame-ancestors 'none'", "callback.html", v)
}

// exchangeForPage sends the token request of a client to the tenant itself.
func (t *Tenant) exchangeForPage(ctx context.Context, v *callbackView, client tenant.Client, code string, at address) {
	form := url.Values{
		"grant_type": {tenant.GrantAuthorizationCode}, "client_id": {client.ClientID}, "code": {code},
		"redirect_uri": {at.pageURL(callbackPath)}, "code_verifier": {consoleVerifier},
	}
	if !client.Public() {
		form.Set("client_secret", client.ClientSecret)
	}
	status, header, body := t.callItself(ctx, at.issuer, "/oauth/token", form)
	for _, e := range t.journal.Find(Query{Endpoint: Token}) {
		if e.ID == header.Get("X-Auth0-RequestId") {
			v.Number, v.Hint = e.Number, e.Hint
		}
	}
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Scope       string `json:"scope"`
		Access      string `json:"access_token"`
		ID          string `json:"id_token"`
		Refresh     string `json:"refresh_token"`
	}
	_ = json.Unmarshal(body, &answer) // a fault may have changed the body
	v.Scope = answer.Scope
	if status != http.StatusOK || answer.Access == "" {
		v.Error = cmp.Or(answer.Error, "no_token")
		v.Description = cmp.Or(answer.Description, "The token request had no usable answer.")
		return
	}
	for _, token := range []callbackToken{{Name: "ID token", Raw: answer.ID}, {Name: "Access token", Raw: answer.Access}, {Name: "Refresh token", Raw: answer.Refresh}} {
		if token.Raw == "" {
			continue
		}
		if parts := strings.Split(token.Raw, "."); len(parts) == 3 {
			token.Header, token.Claims = indented(decoded(parts[0])), indented(decoded(parts[1]))
		}
		v.Tokens = append(v.Tokens, token)
	}
}

// callItself posts a form to the tenant without a network. A fault that breaks the
// connection gives the status 0.
func (t *Tenant) callItself(ctx context.Context, issuer, path string, form url.Values) (status int, header http.Header, body []byte) {
	w := &bufferWriter{header: http.Header{}}
	//nolint:gosec // it is not sent: the tenant itself handles it
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(issuer, "/")+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, w.header, nil
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	defer func() {
		if p := recover(); p == http.ErrAbortHandler { //nolint:errorlint // the value that net/http compares with
			status, header, body = 0, w.header, nil
		} else if p != nil {
			panic(p)
		}
	}()
	t.serve(w, r, issuer)
	return w.status, w.header, w.body.Bytes()
}
