package mock

import (
	"crypto/sha1" //nolint:gosec // an entity tag, as Express makes it
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"example.com/tokend/pkg/mock/tenant"
)

const resetLifetime = 5 * 24 * time.Hour // of the link in a mail

// dbError is an error of /dbconnections. It has not the form of OAuth errors.
type dbError struct {
	name        string
	message     string
	code        string
	description any
	reason      string // for the journal
}

// badSignup is the error for a request that is not valid. Auth0 publishes its form for
// users that exist only.
func badSignup(code, description string) *dbError {
	return &dbError{name: "BadRequestError", code: code, description: description, reason: description}
}

func (t *Tenant) refuseDB(c *call, e *dbError) {
	c.setReason(e.code + ": " + e.reason)
	body := object{{"name", e.name}}
	body.add("message", e.message)
	body = append(body, member{"code", e.code}, member{"description", e.description}, member{"statusCode", http.StatusBadRequest})
	write(c.w, http.StatusBadRequest, jsonTypeUTF8, body.bytes())
}

// members reads a JSON object or a form.
func (c *call) members() (map[string]any, *oauthError) {
	m := map[string]any{}
	if c.mediaType() == "application/x-www-form-urlencoded" {
		form, bad := c.form()
		for name := range form {
			m[name] = form.Get(name)
		}
		return m, bad
	}
	body, bad := c.body()
	if bad == nil && json.Unmarshal(body, &m) != nil {
		bad = refuse("invalid_request", "The body is not a JSON object")
	}
	return m, bad
}

func text(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return s
}

// signupTexts are the members of /dbconnections that are strings.
const signupTexts = "client_id connection email username password name nickname given_name family_name picture organization"

// wrongType returns what is wrong with a member of another type, or "".
func wrongType(m map[string]any) string {
	for name := range strings.FieldsSeq(signupTexts) {
		if _, isText := m[name].(string); !isText && m[name] != nil {
			return "Parameter " + name + " must be a string"
		}
	}
	if _, isObject := m["user_metadata"].(map[string]any); !isObject && m["user_metadata"] != nil {
		return "Parameter user_metadata must be an object"
	}
	return ""
}

// dbSignup is POST /dbconnections/signup
// (https://auth0.com/docs/api/authentication/signup/create-a-new-user).
func (t *Tenant) dbSignup(c *call) {
	m, malformed := c.members()
	if malformed != nil {
		t.refuseToken(c, malformed)
		return
	}
	t.mu.Lock()
	u, bad := t.signUpIn(c, m)
	t.mu.Unlock()
	if bad != nil {
		t.refuseDB(c, bad)
		return
	}
	_, id, _ := strings.Cut(u.UserID, "|")
	body := object{{"_id", id}, {"email", u.Email}, {"email_verified", false}}
	body.add("username", u.Username)
	write(c.w, http.StatusOK, jsonTypeUTF8, body.bytes())
}

func (t *Tenant) signUpIn(c *call, m map[string]any) (tenant.User, *dbError) {
	db, bad := t.requestedDatabase(c, m)
	switch {
	case bad != nil:
		return tenant.User{}, bad
	case text(m, "client_id") == "":
		return tenant.User{}, badSignup("invalid_request", "Missing required parameter: client_id")
	}
	now := c.now.UTC().Format("2006-01-02T15:04:05.000Z")
	metadata, _ := m["user_metadata"].(map[string]any)
	u := tenant.User{
		UserID: "auth0|" + t.randomHex(24), Connection: db.Name, CreatedAt: now, UpdatedAt: now, UserMetadata: metadata,
		Email: text(m, "email"), Username: text(m, "username"), Password: text(m, "password"), Name: text(m, "name"),
		Nickname: text(m, "nickname"), GivenName: text(m, "given_name"), FamilyName: text(m, "family_name"), Picture: text(m, "picture"),
	}
	rules, strong := policyOf(db).rules(u.Password)
	switch {
	case db.SignupDisabled():
		return u, badSignup("invalid_signup", "Public signup is disabled")
	case !validEmail(u.Email):
		return u, badSignup("invalid_email", "The email is missing or not valid")
	case u.Password == "":
		return u, badSignup("invalid_password", "The password is missing")
	case db.Options.RequiresUsername && u.Username == "":
		return u, badSignup("invalid_username", "The username is missing")
	case len(u.Username) > 128 || strings.ContainsFunc(u.Username, func(r rune) bool { return r == '@' || notInEmail(r) }):
		return u, badSignup("invalid_username", "The username is not valid")
	case t.st.userInConnection(u.Email, db.Name) != nil:
		return u, t.exists("The user already exists.")
	case u.Username != "" && t.st.userInConnection(u.Username, db.Name) != nil:
		return u, t.exists("The user already exists (username: " + u.Username + ").")
	case !strong:
		return u, &dbError{
			name: "PasswordStrengthError", message: "Password is too weak", code: "invalid_password",
			description: object{{"rules", rules}, {"verified", false}}, reason: "the password is too weak",
		}
	case !t.addSignup(&u):
		return u, badSignup("invalid_signup", "Invalid sign up")
	}
	return u, nil
}

// exists is the error for a user that exists. It does not say so unless the tenant
// allows it.
func (t *Tenant) exists(description string) *dbError {
	if t.st.settings.Flags.TellUserExists {
		return badSignup("user_exists", description)
	}
	e := badSignup("invalid_signup", "Invalid sign up")
	e.reason = description
	return e
}

// addSignup adds a user, up to a limit of all sign-ups.
func (t *Tenant) addSignup(u *tenant.User) bool {
	if t.st.signups >= maxSignups || t.st.addUser(u) != nil {
		return false
	}
	t.st.signups++
	return true
}

// requestedDatabase returns the database that a request names, and the client of the
// request, if there is one, may use.
func (t *Tenant) requestedDatabase(c *call, m map[string]any) (*tenant.Database, *dbError) {
	id, name := text(m, "client_id"), text(m, "connection")
	client := t.st.clients[id]
	if wrong := wrongType(m); wrong != "" {
		return nil, badSignup("invalid_request", wrong)
	}
	switch {
	case id != "" && client == nil:
		return nil, badSignup("invalid_request", "Unknown client: "+clip(id))
	case name == "":
		return nil, badSignup("invalid_request", "Missing required parameter: connection")
	}
	c.entry.ClientID = id
	db := t.st.database(name)
	if db == nil || client != nil && !db.Enables(client) {
		return nil, badSignup("invalid_request", "The connection does not exist or is not enabled for the client: "+clip(name))
	}
	return db, nil
}

// database returns a database by its name. A tenant without any has the default one.
func (st *description) database(name string) *tenant.Database {
	for i := range st.databases {
		if st.databases[i].Name == name {
			return &st.databases[i]
		}
	}
	if len(st.databases) == 0 && name == st.settings.DefaultDirectory {
		return &tenant.Database{Name: name}
	}
	return nil
}

// userInConnection finds a user of a connection by e-mail address or username.
func (st *description) userInConnection(login, connection string) *tenant.User {
	return st.userIn(login, func(u *tenant.User) bool { return u.Connection == connection })
}

// changePassword is POST /dbconnections/change_password. The answer is the same for an
// unknown address, which gets no mail
// (https://auth0.com/docs/api/authentication/change-password/change-password).
func (t *Tenant) changePassword(c *call) {
	m, malformed := c.members()
	if malformed != nil {
		t.refuseToken(c, malformed)
		return
	}
	t.mu.Lock()
	bad := t.mailReset(c, m)
	t.mu.Unlock()
	if bad != nil {
		t.refuseDB(c, bad)
		return
	}
	body := []byte("We've just sent you an email to reset your password.")
	c.w.Header().Set("ETag", weakTag(body))
	write(c.w, http.StatusOK, htmlType, body)
}

func (t *Tenant) mailReset(c *call, m map[string]any) *dbError {
	email, name := text(m, "email"), text(m, "connection")
	db, bad := t.requestedDatabase(c, m)
	switch {
	case bad != nil:
		return bad
	case email == "":
		return badSignup("invalid_request", "Missing required parameter: email")
	}
	u := t.st.userInConnection(email, db.Name)
	if u == nil || u.Email == "" {
		c.setReason("the connection has no such user; no mail is sent")
		return nil
	}
	ticket := t.randomString(32)
	makeRoom(&t.st.room, t.st.resets, func(r passwordReset) bool { return !c.now.Before(r.expires) },
		func(r passwordReset) time.Time { return r.expires })
	t.st.resets[hash(ticket)] = passwordReset{user: u.UserID, expires: c.now.Add(resetLifetime)}
	t.send(Mail{
		Time: c.now, Kind: "reset_password", To: u.Email, ClientID: text(m, "client_id"), Connection: name,
		Link: c.pageURL("/u/reset-password?ticket=" + url.QueryEscape(ticket)),
	})
	return nil
}

// weakTag is the ETag that Express sets.
func weakTag(body []byte) string {
	sum := sha1.Sum(body) //nolint:gosec // see the import
	return fmt.Sprintf(`W/"%x-%s"`, len(body), encode(sum[:])[:27])
}

func notInEmail(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

// validEmail reports whether a text can be an e-mail address.
func validEmail(s string) bool {
	local, domain, found := strings.Cut(s, "@")
	return found && local != "" && domain != "" && !strings.Contains(domain, "@") && !strings.ContainsFunc(s, notInEmail) && len(s) <= 254
}

// randomHex returns n hexadecimal digits.
func (t *Tenant) randomHex(n int) string {
	b := make([]byte, (n+1)/2)
	if _, err := t.random.Read(b); err != nil {
		panic("mock: no randomness: " + err.Error())
	}
	return hex.EncodeToString(b)[:n]
}
