package mock

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"example.com/tokend/pkg/mock/tenant"
)

// startMembers are the members that /passwordless/start accepts.
const (
	startMembers = startTexts + " send authParams"
	startTexts   = "client_id client_secret client_assertion client_assertion_type connection email phone_number"
)

// startRequest is a valid POST /passwordless/start.
type startRequest struct {
	client     *tenant.Client
	connection *tenant.Connection
	address    string // e-mail address or phone number
	link       bool   // send a link, not a code
	parameters map[string]any
}

// badStart is an error of /passwordless/start, whose codes are of its own.
func badStart(property, description string) *oauthError { return refuse("bad."+property, description) }

// passwordlessStart is POST /passwordless/start
// (https://auth0.com/docs/api/authentication/passwordless/get-code-or-link).
func (t *Tenant) passwordlessStart(c *call) {
	m, bad := c.members()
	var body object
	if bad == nil {
		t.mu.Lock()
		var s startRequest
		if s, bad = t.parseStart(c, m); bad == nil {
			body, bad = t.startPasswordless(c, s)
		}
		t.mu.Unlock()
	}
	if bad != nil {
		c.setReason(bad.Error())
		write(c.w, bad.Status, jsonTypeUTF8, object{{"error", bad.Code}, {"error_description", bad.Description}}.bytes())
		return
	}
	write(c.w, http.StatusOK, jsonTypeUTF8, body.bytes())
}

// parseStart checks the members in the order of the reference's list of errors.
func (t *Tenant) parseStart(c *call, m map[string]any) (startRequest, *oauthError) {
	s := startRequest{link: text(m, "send") != "code"}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if _, isText := m[name].(string); !isText && m[name] != nil && containsWord(startTexts, name) {
			return s, badStart(name, "error in "+name+" - invalid type: "+typeOf(m[name])+" (expected string)")
		}
	}
	for _, name := range []string{"client_id", "connection"} {
		if text(m, name) == "" {
			return s, badStart(name, "Missing required property: "+name)
		}
	}
	if unknown := unknownMembers(m); len(unknown) > 0 {
		return s, badStart("request", "the following properties are not allowed: "+clip(strings.Join(unknown, ", ")))
	}
	if s.client = t.st.clients[text(m, "client_id")]; s.client == nil {
		return s, unauthorized("unknown client")
	}
	c.entry.ClientID = s.client.ClientID
	if bad := t.authenticateStart(c, s.client, m); bad != nil {
		return s, bad
	}
	if s.connection = t.st.passwordlessConnection(text(m, "connection")); s.connection == nil {
		if t.st.database(text(m, "connection")) != nil {
			return s, badStart("connection", "The connection does not support user creation through this API. It must either be a passwordless connection")
		}
		return s, badStart("connection", "Connection does not exist")
	}
	if !s.connection.Enables(s.client) {
		return s, badStart("connection", "Connection is disabled")
	}
	if bad := s.readAddress(m); bad != nil {
		return s, bad
	}
	if send := m["send"]; send != nil && send != "link" && send != "code" {
		return s, badStart("send", "error in send - No enum match for: "+clip(text(m, "send")))
	}
	var isObject bool
	if s.parameters, isObject = m["authParams"].(map[string]any); !isObject && m["authParams"] != nil {
		return s, badStart("authParams", "error in authParams - invalid type: "+typeOf(m["authParams"])+" (expected object)")
	}
	s.link = s.link && s.connection.Strategy == "email"
	return s, nil
}

// typeOf returns JSON's name of a value's type.
func typeOf(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "number"
}

// unknownMembers returns the members that are not allowed, sorted.
func unknownMembers(m map[string]any) []string {
	var out []string
	for name := range m {
		if !containsWord(startMembers, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// authenticateStart checks a credential that was sent. It is required only if the
// tenant enforces client authentication here.
func (t *Tenant) authenticateStart(c *call, client *tenant.Client, m map[string]any) *oauthError {
	secret, assertion := text(m, "client_secret"), text(m, "client_assertion")
	enforced := t.st.settings.Flags.AuthenticatePasswordlessStart && !client.Public()
	if secret == "" && assertion == "" && !enforced {
		return nil
	}
	r := tokenRequest{parameters: parameters{map[string][]string{
		"client_assertion": {assertion}, "client_assertion_type": {text(m, "client_assertion_type")},
	}}}
	return t.checkCredentials(c, client, secret, r)
}

// readAddress reads the e-mail address or phone number.
func (s *startRequest) readAddress(m map[string]any) *oauthError {
	name := "email"
	if s.connection.Strategy == "sms" {
		name = "phone_number"
	}
	s.address = text(m, name)
	switch {
	case s.address == "":
		return badStart(name, "Missing required property: "+name)
	case name == "email" && !validEmail(s.address):
		return badStart(name, "error in email - email format validation failed: "+clip(s.address))
	case name == "phone_number" && !validPhone(s.address):
		return badStart(name, `String does not match pattern: ^\+[0-9]{1,15}$`)
	}
	if name == "email" {
		s.address = strings.ToLower(s.address)
	}
	return nil
}

// validPhone reports whether a text is a phone number with its country code.
func validPhone(s string) bool {
	digits, plus := strings.CutPrefix(s, "+")
	return plus && digits != "" && len(digits) <= 15 && strings.Trim(digits, "0123456789") == ""
}

// passwordlessConnection returns a connection by its name, or nil.
func (st *description) passwordlessConnection(name string) *tenant.Connection {
	for i := range st.passwordless {
		if st.passwordless[i].Name == name {
			return &st.passwordless[i]
		}
	}
	return nil
}

// startPasswordless adds the user, if there is none, and sends a code or link.
func (t *Tenant) startPasswordless(c *call, s startRequest) (object, *oauthError) {
	u := t.passwordlessUser(s.connection, s.address)
	if u == nil {
		if u = t.addPasswordlessUser(c, s); u == nil {
			return nil, badStart("request", "the tenant has too many users that signed up")
		}
	}
	code := t.newOTP(c, s.connection.Name, s.address)
	mail := Mail{Time: c.now, Kind: "verification_code", To: s.address, ClientID: s.client.ClientID, Connection: s.connection.Name, Code: code}
	if s.link {
		mail.Kind, mail.Code, mail.Link = "login_link", "", c.pageURL("/passwordless/verify_redirect?"+query(s.linkParameters(code)))
	}
	t.send(mail)
	_, id, _ := strings.Cut(u.UserID, "|")
	if s.connection.Strategy == "sms" {
		return object{{"_id", id}, {"phone_number", s.address}, {"phone_verified", u.PhoneVerified}}, nil
	}
	return object{{"_id", id}, {"email", s.address}, {"email_verified", u.EmailVerified}}, nil
}

// passwordlessUser returns the user of an address, or nil.
func (t *Tenant) passwordlessUser(conn *tenant.Connection, address string) *tenant.User {
	if conn.Strategy == "email" {
		return t.st.userInConnection(address, conn.Name)
	}
	if u := t.st.users[t.st.phones[otpKey(conn.Name, address)]]; u != nil {
		return u
	}
	for _, u := range t.st.users { // of the tenant file
		if u.Connection == conn.Name && u.PhoneNumber == address {
			return u
		}
	}
	return nil
}

func (t *Tenant) addPasswordlessUser(c *call, s startRequest) *tenant.User {
	now := c.now.UTC().Format("2006-01-02T15:04:05.000Z")
	u := &tenant.User{UserID: s.connection.Strategy + "|" + t.randomHex(24), Connection: s.connection.Name, CreatedAt: now, UpdatedAt: now}
	if s.connection.Strategy == "sms" {
		u.PhoneNumber, u.Name = s.address, s.address
	} else {
		u.Email = s.address
	}
	if !t.addSignup(u) {
		return nil
	}
	if u.PhoneNumber != "" {
		t.st.phones[otpKey(s.connection.Name, s.address)] = u.UserID
	}
	return u
}

// linkParameters are the parameters of the link in a mail: those of the authorization
// request in authParams, and the code.
func (s startRequest) linkParameters(code string) []member {
	params := []member{
		{"client_id", s.client.ClientID}, {"connection", s.connection.Name}, {"email", s.address}, {"verification_code", code},
	}
	for _, name := range []string{"response_type", "redirect_uri", "scope", "audience", "state", "nonce", "response_mode", "code_challenge", "code_challenge_method"} {
		if value := text(s.parameters, name); value != "" {
			params = append(params, member{name, value})
		}
	}
	return params
}
