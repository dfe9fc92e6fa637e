package mock_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

const database = "Username-Password-Authentication"

// postJSON sends a JSON object. params alternate names and values; nil removes one.
func (w *world) postJSON(path string, params ...any) reply {
	w.Helper()
	m := map[string]any{}
	for i := 0; i+1 < len(params); i += 2 {
		name := params[i].(string)
		if m[name] = params[i+1]; params[i+1] == nil {
			delete(m, name)
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		w.Fatal(err)
	}
	return w.postBody(path, "application/json", string(b))
}

func (w *world) postBody(path, contentType, body string) reply {
	w.Helper()
	r := httptest.NewRequest(http.MethodPost, strings.TrimSuffix(issuer, "/")+path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return w.do(r)
}

func (w *world) signUp(params ...any) reply {
	w.Helper()
	return w.postJSON("/dbconnections/signup", append([]any{
		"client_id", "demo", "connection", database, "email", "new@example.com", "password", "long enough",
	}, params...)...)
}

// dbRefused asserts an error of /dbconnections.
func (r reply) dbRefused(code, description string) {
	r.Helper()
	want := `{"name":"BadRequestError","code":"` + code + `","description":"` + description + `","statusCode":400}`
	if r.status != 400 || r.body != want || r.header.Get("Content-Type") != "application/json; charset=utf-8" {
		r.Errorf("got %d %s\nwant %s", r.status, r.body, want)
	}
}

func TestDBSignup_NewUserCanLogIn(t *testing.T) {
	w := newWorld(t, mock.Config{})
	r := w.signUp("user_metadata", map[string]any{"plan": "gold"}, "given_name", "Newton", "username", "newt")
	got := decodeJSON[map[string]any](t, r.body)
	id, _ := got["_id"].(string)
	if r.status != 200 || len(id) != 24 || got["email"] != "new@example.com" || got["email_verified"] != false || got["username"] != "newt" || len(got) != 4 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if !strings.HasPrefix(r.body, `{"_id":"`+id+`","email":`) || r.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%s %s", r.header.Get("Content-Type"), r.body)
	}
	users := w.Users()
	if u := users[len(users)-1]; u.UserID != "auth0|"+id || u.UserMetadata["plan"] != "gold" || u.GivenName != "Newton" || u.CreatedAt != "2026-03-01T12:00:00.000Z" {
		t.Errorf("%+v", u)
	}
	if e := w.Journal().Find(mock.Query{Endpoint: "signup", ClientID: "demo"}); len(e) != 1 {
		t.Errorf("journal %+v", e)
	}
	w.post("/oauth/token", "grant_type", "password", "client_id", "demo", "client_secret", "demo-secret", "username", "new@example.com", "password", "long enough").tokens()
	form := pairs("client_id", "demo", "connection", database, "email", "form@example.com", "password", "long enough")
	if r := w.do(formRequest("/dbconnections/signup", form)); r.status != 200 {
		t.Errorf("a form: %d %s", r.status, r.body)
	}
	w.Reset()
	if n := len(w.Users()); n != 3 {
		t.Errorf("%d users after Reset", n)
	}
}

func TestDBSignup_Refusals(t *testing.T) {
	w := newWorld(t, mock.Config{})
	const unknown = "The connection does not exist or is not enabled for the client: "
	w.mustControl("POST", "/_mock/databases", `{"name":"closed","disable_signup":true}`)
	w.mustControl("POST", "/_mock/databases", `{"name":"closed too","options":{"disable_signup":true}}`)
	w.mustControl("POST", "/_mock/databases", `{"name":"others","enabled_clients":["rotating","Demo SPA"]}`)
	w.mustControl("POST", "/_mock/databases", `{"name":"named","options":{"requires_username":true}}`)
	for name, c := range map[string]struct {
		params            []any
		code, description string
	}{
		"no client_id":        {[]any{"client_id", nil}, "invalid_request", "Missing required parameter: client_id"},
		"unknown client":      {[]any{"client_id", "nope"}, "invalid_request", "Unknown client: nope"},
		"no connection":       {[]any{"connection", nil}, "invalid_request", "Missing required parameter: connection"},
		"unknown connection":  {[]any{"connection", "nope"}, "invalid_request", unknown + "nope"},
		"connection of other": {[]any{"connection", "others"}, "invalid_request", unknown + "others"},
		"switched off":        {[]any{"connection", "closed"}, "invalid_signup", "Public signup is disabled"},
		"switched off, too":   {[]any{"connection", "closed too"}, "invalid_signup", "Public signup is disabled"},
		"no email":            {[]any{"email", nil}, "invalid_email", "The email is missing or not valid"},
		"bad email":           {[]any{"email", "new@"}, "invalid_email", "The email is missing or not valid"},
		"two domains":         {[]any{"email", "new@a@b"}, "invalid_email", "The email is missing or not valid"},
		"control character":   {[]any{"email", "new@a\x00b"}, "invalid_email", "The email is missing or not valid"},
		"email is a number":   {[]any{"email", 1}, "invalid_request", "Parameter email must be a string"},
		"username is a list":  {[]any{"username", []string{"a"}}, "invalid_request", "Parameter username must be a string"},
		"metadata is text":    {[]any{"user_metadata", "a"}, "invalid_request", "Parameter user_metadata must be an object"},
		"strange username":    {[]any{"username", "a\x00b"}, "invalid_username", "The username is not valid"},
		"no password":         {[]any{"password", ""}, "invalid_password", "The password is missing"},
		"no username":         {[]any{"connection", "named"}, "invalid_username", "The username is missing"},
		"bad username":        {[]any{"username", "a@b"}, "invalid_username", "The username is not valid"},
		"long username":       {[]any{"username", strings.Repeat("a", 129)}, "invalid_username", "The username is not valid"},
		"taken":               {[]any{"email", strings.ToUpper(agent)}, "invalid_signup", "Invalid sign up"},
		"taken, weak":         {[]any{"email", agent, "password", "a"}, "invalid_signup", "Invalid sign up"},
	} {
		t.Run(name, func(t *testing.T) { w.seenBy(t).signUp(c.params...).dbRefused(c.code, c.description) })
	}
	w.postBody("/dbconnections/signup", "application/json", `[]`).refused(400, "invalid_request", "The body is not a JSON object")
	w.signUp("connection", "others", "client_id", "demo-spa").dbCreated()
	w.signUp("connection", "named", "username", "newt").dbCreated() // the address is free in this database
	w.mustControl("PATCH", "/_mock/tenant", `{"flags":{"enable_public_signup_user_exists_error":true}}`)
	w.signUp("email", agent).dbRefused("user_exists", "The user already exists.")
	w.signUp("connection", "named", "email", "other@example.com", "username", "newt").dbRefused("user_exists", "The user already exists (username: newt).")
	w.signUp("connection", "named", "username", "newt2").dbRefused("user_exists", "The user already exists.")
}

func (r reply) dbCreated() {
	r.Helper()
	if r.status != 200 {
		r.Errorf("%d %s", r.status, r.body)
	}
}

func TestDBSignup_PasswordPolicies(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for _, c := range []struct{ policy, weak, strong string }{
		{`null`, "1234567", "12345678"},
		{`"none"`, "", "a"},
		{`"low"`, "12345", "123456"},
		{`"fair"`, "abcdef12", "abcdeF12"},
		{`"fair"`, "aB1", "abcdeF12"},
		{`"good"`, "abcdefgH", "abcdef1!"},
		{`"excellent"`, "aaabcdef1!", "aabbcdef1!"},
		{`"excellent"`, "abcdef1!", "abcdefgh1!"},
		{`"none","password_complexity_options":{"min_length":12}`, "12345678901", "123456789012"},
	} {
		t.Run(c.policy, func(t *testing.T) {
			w := w.seenBy(t)
			w.mustControl("POST", "/_mock/databases", `{"name":"x","options":{"passwordPolicy":`+c.policy+`}}`)
			if r := w.signUp("connection", "x", "email", "x@example.com", "password", c.weak); r.status != 400 || c.weak != "" && !strings.HasPrefix(r.body,
				`{"name":"PasswordStrengthError","message":"Password is too weak","code":"invalid_password","description":{"rules":[{`) {
				t.Errorf("%q: %d %s", c.weak, r.status, r.body)
			}
			w.signUp("connection", "x", "email", "x@example.com", "password", c.strong).dbCreated()
			w.mustControl("DELETE", "/_mock/users/x@example.com", "")
		})
	}
	w.mustControl("POST", "/_mock/databases", `{"name":"x","options":{"passwordPolicy":"excellent"}}`)
	golden(t, "signup_weak_password", w.signUp("connection", "x", "password", "aaa").body+"\n")
	w.mustControl("POST", "/_mock/databases", `{"name":"x","options":{"passwordPolicy":"fair"}}`)
	golden(t, "signup_weak_password_fair", w.signUp("connection", "x", "password", "aaa").body+"\n")
	for _, bad := range []string{`{"name":""}`, `{"name":"x","options":{"passwordPolicy":"magic"}}`, `{"name":"x","options":{"password_complexity_options":{"min_length":129}}}`} {
		if r := w.control("POST", "/_mock/databases", bad); r.status != 400 {
			t.Errorf("%s: %d", bad, r.status)
		}
	}
}

// The page of Universal Login has the policy of the default directory.
func TestSignupPage_PasswordPolicy(t *testing.T) {
	w := newWorld(t, mock.Config{Login: mock.LoginForm})
	w.mustControl("POST", "/_mock/databases", `{"name":"`+database+`","options":{"passwordPolicy":"excellent"}}`)
	page := w.authorize("screen_hint", "signup").location()
	for password, want := range map[string]string{
		"a": "Your password must contain at least 10 characters.", "aaaaaaaaaaaa": "Your password is too weak.",
	} {
		r := w.post("/u/signup", "state", page.Query().Get("state"), "email", "p@example.com", "password", password)
		if r.status != 400 || !strings.Contains(r.body, want) {
			t.Errorf("%q: %d %s", password, r.status, r.body)
		}
	}
}

func (w *world) changePassword(params ...any) reply {
	w.Helper()
	return w.postJSON("/dbconnections/change_password", append([]any{"client_id", "demo", "connection", database, "email", agent}, params...)...)
}

func TestChangePassword_MailAndLink(t *testing.T) {
	w := newWorld(t, mock.Config{})
	r := w.changePassword()
	if r.status != 200 || r.body != "We've just sent you an email to reset your password." || r.header.Get("Content-Type") != "text/html; charset=utf-8" ||
		r.header.Get("Access-Control-Allow-Origin") != "*" || r.header.Get("X-RateLimit-Limit") != "10" || !strings.HasPrefix(r.header.Get("ETag"), `W/"34-`) {
		t.Errorf("%d %s %v", r.status, r.body, r.header)
	}
	mails := w.Mails()
	if len(mails) != 1 || mails[0].To != agent || mails[0].Kind != "reset_password" || mails[0].ClientID != "demo" || !mails[0].Time.Equal(start) {
		t.Fatalf("%+v", mails)
	}
	shown := decodeJSON[struct {
		Count int         `json:"count"`
		Mails []mock.Mail `json:"mails"`
	}](t, w.mustControl("GET", "/_mock/mails", "").body)
	if shown.Count != 1 || shown.Mails[0] != mails[0] {
		t.Errorf("%+v", shown)
	}
	link := mails[0].Link
	if page := w.get(link); page.status != 200 || !strings.Contains(page.body, `id="reset-form"`) || !strings.Contains(page.body, agent) {
		t.Errorf("%d %s", page.status, page.body)
	}
	_, ticket, _ := strings.Cut(link, "ticket=")
	if weak := w.post("/u/reset-password", "ticket", ticket, "password", "a"); weak.status != 400 || !strings.Contains(weak.body, "Password is too weak") {
		t.Errorf("%d %s", weak.status, weak.body)
	}
	login := func(password string) reply {
		return w.post("/oauth/token", "grant_type", "password", "client_id", "demo", "client_secret", "demo-secret", "username", agent, "password", password)
	}
	if done := w.post("/u/reset-password", "ticket", ticket, "password", "another password"); done.status != 200 {
		t.Errorf("%d %s", done.status, done.body)
	}
	login("password").refused(403, "invalid_grant", "Wrong email or password.")
	login("another password").tokens()
	const gone = "This link can be used once, and this one was used or has expired."
	w.post("/u/reset-password", "ticket", ticket, "password", "a third password").page(400, "invalid_request", gone)
	login("another password").tokens()

	w.changePassword()
	w.Advance(5 * 24 * time.Hour)
	w.get(w.Mails()[1].Link).page(400, "invalid_request", gone)
	for _, e := range w.Journal().Find(mock.Query{}) {
		if strings.Contains(e.Path+e.Reason, ticket) {
			t.Errorf("the journal has the ticket: %+v", e)
		}
	}
	w.Reset()
	if n := len(w.Mails()); n != 0 {
		t.Errorf("%d mails after Reset", n)
	}
}

func TestChangePassword_UnknownAddressIsNotTold(t *testing.T) {
	w := newWorld(t, mock.Config{})
	known, unknown := w.changePassword(), w.changePassword("email", "absent@example.com")
	if known.status != unknown.status || known.body != unknown.body || len(w.Mails()) != 1 {
		t.Errorf("%d %s, %d mails", unknown.status, unknown.body, len(w.Mails()))
	}
	w.changePassword("email", nil).dbRefused("invalid_request", "Missing required parameter: email")
	w.changePassword("connection", nil).dbRefused("invalid_request", "Missing required parameter: connection")
	w.changePassword("connection", "nope").dbRefused("invalid_request", "The connection does not exist or is not enabled for the client: nope")
	w.changePassword("client_id", "nope").dbRefused("invalid_request", "Unknown client: nope")
	w.postBody("/dbconnections/change_password", "application/json", `{`).refused(400, "invalid_request", "The body is not a JSON object")
	if r := w.changePassword("client_id", nil); r.status != 200 { // optional
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestMailsAreLimited(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for range 1001 {
		w.changePassword()
	}
	if n := len(w.Mails()); n != 901 {
		t.Errorf("%d mails", n)
	}
}
