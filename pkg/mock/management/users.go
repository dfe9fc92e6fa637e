package management

import (
	"crypto/md5" //nolint:gosec // Gravatar's addresses
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

var errNoUser = refuse(http.StatusNotFound, "inexistent_user", "The user does not exist.")

// users have in their documents what answers do not show: password, connection, and the
// ids of their roles.
func (a *API) users() *family {
	return &family{
		kind: KindUser, key: "users", id: "user_id", missing: errNoUser,
		hidden:   []string{"password", "connection", "roles", "permissions", "authentication_methods", "verify_email", "enrolled"},
		newID:    func(c *call) string { return c.random(hexDigits, 24) },
		complete: a.completeUser, change: a.changeUser, ended: endUser,
	}
}

func (a *API) completeUser(c *call, d Doc) error {
	conn, found := c.connectionNamed(text(d, "connection"))
	if !found {
		return refuse(http.StatusBadRequest, "invalid_body", "The connection does not exist.")
	}
	strategy := text(conn, "strategy")
	if id, sent := c.body["user_id"].(string); sent && id != "" {
		d["user_id"] = id
	}
	bare := strings.TrimPrefix(text(d, "user_id"), strategy+"|")
	d["user_id"] = strategy + "|" + bare
	switch {
	case strategy == "auth0" && text(d, "password") == "":
		return invalid("", "Missing required property: password")
	case strategy == "auth0" && text(d, "email") == "" && text(d, "username") == "" && text(d, "phone_number") == "":
		return invalid("", "Missing required property: email")
	case strategy == "sms" && text(d, "phone_number") == "":
		return invalid("", "Missing required property: phone_number")
	}
	if err := c.uniqueUser(d); err != nil {
		return err
	}
	if _, taken := c.get(KindUser, text(d, "user_id")); taken {
		return errUserExists
	}
	d["identities"] = []any{Doc{"connection": d["connection"], "user_id": bare, "provider": strategy, "isSocial": false}}
	d["created_at"], d["updated_at"] = c.at(), c.at()
	d["roles"] = []any{}
	if d["verify_email"] != false && d["email_verified"] != true && text(d, "email") != "" {
		c.verifyEmail(d)
	}
	DefaultUser(d)
	return nil
}

// verifyEmail sends the message that the user's address is verified by.
func (c *call) verifyEmail(d Doc) {
	ticket := c.newTicket("email_verification", Doc{"user_id": d["user_id"]}, defaultTicket)
	c.State.Send(Message{Kind: "verification_email", To: text(d, "email"), Link: c.Issuer + "u/email-verification?ticket=" + ticket + "#"})
}

var errUserExists = refuse(http.StatusConflict, "auth0_idp_error", "The user already exists.")

// uniqueUser returns an error when another user of the connection has a login of a user.
func (c *call) uniqueUser(d Doc) error {
	same := func(u Doc, name string) bool {
		return text(d, name) != "" && strings.EqualFold(text(u, name), text(d, name))
	}
	for _, u := range c.all(KindUser, nil) {
		if text(u, "user_id") != text(d, "user_id") && text(u, "connection") == text(d, "connection") &&
			(same(u, "email") || same(u, "username") || same(u, "phone_number")) {
			return errUserExists
		}
	}
	return nil
}

// DefaultUser sets the members that every user has.
func DefaultUser(d Doc) {
	email := text(d, "email")
	name := email
	if name == "" {
		name = text(d, "username") + text(d, "phone_number")
	}
	local, _, _ := strings.Cut(name, "@")
	sum := md5.Sum([]byte(strings.ToLower(strings.TrimSpace(name)))) //nolint:gosec // see the import
	avatar := "https://cdn.auth0.com/avatars/" + url.PathEscape(strings.ToLower(name[:min(2, len(name))])) + ".png"
	setDefault(d, Doc{
		"email_verified": false, "name": name, "nickname": local,
		"picture": "https://s.gravatar.com/avatar/" + hex.EncodeToString(sum[:]) + "?s=480&r=pg&d=" + url.QueryEscape(avatar),
	})
	if email == "" {
		delete(d, "email_verified")
	}
	provider, bare, found := strings.Cut(text(d, "user_id"), "|")
	if found {
		setDefault(d, Doc{"identities": []any{Doc{"connection": d["connection"], "user_id": bare, "provider": provider, "isSocial": false}}})
	}
	setDefault(d, Doc{"created_at": d["updated_at"]})
}

func (a *API) changeUser(c *call, _, d, sent Doc) error {
	if !c.has("update:users") { // the other scopes open metadata only
		for name := range sent {
			if name != "user_metadata" && (name != "app_metadata" || !c.has("update:users_app_metadata")) {
				return refuse(http.StatusForbidden, "insufficient_scope", "Insufficient scope, expected any of: update:users")
			}
		}
	}
	if name := text(sent, "connection"); name != "" {
		if _, found := c.connectionNamed(name); !found {
			return refuse(http.StatusBadRequest, "invalid_body", "The connection does not exist.")
		}
	}
	if text(sent, "password") != "" && (text(sent, "email") != "" || text(sent, "username") != "") {
		return refuse(http.StatusBadRequest, "invalid_body", "Cannot update password and email simultaneously")
	}
	delete(d, "client_id")
	if err := c.uniqueUser(d); err != nil {
		return err
	}
	for _, name := range []string{"user_metadata", "app_metadata"} { // {} empties
		if m := child(d, name); m != nil {
			d[name] = withoutNull(m)
		}
	}
	d["updated_at"] = c.at()
	if text(sent, "password") != "" {
		d["last_password_reset"] = c.at()
	}
	return nil
}

// endUser removes what belongs to a user.
func endUser(c *call, d Doc) {
	id := text(d, "user_id")
	c.endAccess(id)
	for _, o := range c.all(KindOrganization, func(o Doc) bool { return slices.Contains(texts(o, "members"), id) }) {
		dropMember(o, id)
		_ = c.put(KindOrganization, text(o, "id"), o) // it was valid before
	}
}

// endAccess ends the sessions and refresh tokens of a user.
func (c *call) endAccess(user string) {
	for _, kind := range []string{KindSession, KindRefreshToken} {
		for _, d := range c.all(kind, func(d Doc) bool { return text(d, "user_id") == user }) {
			c.State.Remove(kind, text(d, "id"))
		}
	}
}

func (a *API) listUsers(c *call) (Answer, error) {
	match, err := parseQuery(c.Query.Get("q"))
	if err != nil {
		return Answer{}, err
	}
	connection := c.Query.Get("connection")
	f := a.users()
	all := c.all(KindUser, func(u Doc) bool { return (connection == "" || text(u, "connection") == connection) && match(u) })
	l := f.listOf(c, all)
	l.extra = Doc{"length": 0}
	return c.list(l)
}

func (a *API) usersByEmail(c *call) (Answer, error) {
	email := c.Query.Get("email")
	if email == "" {
		return Answer{}, validation("Query", "invalid_query_string", "", "Missing required property: email")
	}
	f := a.users()
	return c.list(f.listOf(c, c.all(KindUser, func(u Doc) bool { return text(u, "email") == email })).as(bare))
}

// briefUsers is a list of users as members of something.
func briefUsers(key string, all []Doc) items {
	l := docs(key, all)
	l.id = func(i int) string { return text(all[i], "user_id") }
	l.item = func(i int) any {
		out := Doc{}
		for _, name := range []string{"user_id", "email", "picture", "name"} {
			if all[i][name] != nil {
				out[name] = all[i][name]
			}
		}
		return out
	}
	return l
}

// identities links another user to one, or unlinks it.
func (a *API) linkUser(c *call) (Answer, error) {
	f := a.users()
	primary, err := f.must(c, c.params[0])
	if err != nil {
		return Answer{}, err
	}
	provider, id := text(c.body, "provider"), text(c.body, "user_id")
	second, found := c.get(KindUser, id)
	if !found {
		second, found = c.get(KindUser, provider+"|"+id)
	}
	switch {
	case !c.has("update:users") && text(c.body, "link_with") == "": // a user proves by a token that both accounts are theirs
		return Answer{}, refuse(http.StatusForbidden, "insufficient_scope", "Insufficient scope, expected any of: update:users")
	case text(c.body, "link_with") != "":
		return Answer{}, refuse(http.StatusBadRequest, "invalid_body", "link_with is not supported by the mock; send provider and user_id")
	case !found:
		return Answer{}, errNoUser
	case text(second, "user_id") == text(primary, "user_id"):
		return Answer{}, refuse(http.StatusBadRequest, "invalid_body", "Main account and linked account cannot be the same.")
	}
	linked := objects(primary, "identities")
	for _, identity := range objects(second, "identities") {
		profile := Doc{}
		for _, name := range []string{"email", "email_verified", "name", "given_name", "family_name", "username", "nickname", "picture", "phone_number"} {
			if second[name] != nil {
				profile[name] = second[name]
			}
		}
		identity["profileData"] = profile
		linked = append(linked, identity)
	}
	endUser(c, second)
	c.State.Remove(KindUser, text(second, "user_id"))
	primary["identities"], primary["updated_at"] = list(linked), c.at()
	if err := c.put(KindUser, text(primary, "user_id"), primary); err != nil {
		return Answer{}, err
	}
	return answer(http.StatusCreated, primary["identities"])
}

// unlinkUser makes a user of its own of a linked identity.
func (a *API) unlinkUser(c *call) (Answer, error) {
	primary, err := a.users().must(c, c.params[0])
	if err != nil {
		return Answer{}, err
	}
	provider, id := c.params[1], strings.TrimPrefix(c.params[2], c.params[1]+"|")
	linked := objects(primary, "identities")
	at := slices.IndexFunc(linked, func(i Doc) bool { return text(i, "provider") == provider && text(i, "user_id") == id })
	if at <= 0 {
		return answer(http.StatusOK, list(linked))
	}
	second := Doc{
		"user_id": provider + "|" + id, "connection": linked[at]["connection"], "created_at": c.at(), "updated_at": c.at(), "roles": []any{},
		"identities": []any{Doc{"connection": linked[at]["connection"], "user_id": id, "provider": provider, "isSocial": false}},
	}
	setDefault(second, child(linked[at], "profileData"))
	primary["identities"] = list(slices.Delete(linked, at, at+1))
	for _, d := range []Doc{primary, second} {
		if err := c.put(KindUser, text(d, "user_id"), d); err != nil {
			return Answer{}, err
		}
	}
	return answer(http.StatusOK, primary["identities"])
}

// blocks are the addresses from which a user is blocked after wrong passwords.
func (a *API) blocks(c *call) (Answer, error) {
	u, err := a.blockedUser(c)
	if err != nil {
		return Answer{}, err
	}
	if c.Method == http.MethodDelete {
		c.State.Remove(KindBlock, text(u, "user_id"))
		return empty()
	}
	list := []any{}
	if d, blocked := c.get(KindBlock, text(u, "user_id")); blocked {
		list = append(list, d)
	}
	return answer(http.StatusOK, Doc{"blocked_for": list})
}

func (a *API) blockedUser(c *call) (Doc, error) {
	if len(c.params) > 0 {
		return a.users().must(c, c.params[0])
	}
	login := c.Query.Get("identifier")
	if login == "" {
		return nil, validation("Query", "invalid_query_string", "", "Missing required property: identifier")
	}
	for _, u := range c.all(KindUser, nil) {
		for _, name := range []string{"email", "username", "phone_number", "user_id"} {
			if strings.EqualFold(text(u, name), login) {
				return u, nil
			}
		}
	}
	return nil, errNoUser
}

// ofUser is an endpoint below a user.
func (a *API) ofUser(handle func(c *call, u Doc) (Answer, error)) func(*call) (Answer, error) {
	return func(c *call) (Answer, error) {
		u, err := a.users().must(c, c.params[0])
		if err != nil {
			return Answer{}, err
		}
		return handle(c, u)
	}
}

// noneOf answers an empty list: of what the mock does not have.
func noneOf(key string, f form) func(c *call, u Doc) (Answer, error) {
	return func(c *call, _ Doc) (Answer, error) { return c.list(docs(key, nil).as(f)) }
}

func nothing(*call, Doc) (Answer, error) { return empty() }

// runtimeOfUser lists sessions or refresh tokens.
func (a *API) runtimeOfUser(kind, key string) func(*call) (Answer, error) {
	return func(c *call) (Answer, error) {
		l := docs(key, c.all(kind, func(d Doc) bool { return text(d, "user_id") == c.params[0] })).as(checkpoint)
		if kind == KindRefreshToken {
			l.extra = Doc{"total": l.n}
		}
		return c.list(l)
	}
}

func (a *API) endRuntimeOfUser(kind string) func(*call) (Answer, error) {
	return func(c *call) (Answer, error) {
		for _, d := range c.all(kind, func(d Doc) bool { return text(d, "user_id") == c.params[0] }) {
			c.State.Remove(kind, text(d, "id"))
		}
		return emptyObject(http.StatusAccepted)
	}
}

func (a *API) revokeAccess(c *call, u Doc) (Answer, error) {
	c.endAccess(text(u, "user_id"))
	return emptyObject(http.StatusAccepted)
}

func (a *API) recoveryCode(c *call, _ Doc) (Answer, error) {
	return answer(http.StatusOK, Doc{"recovery_code": c.random("0123456789ABCDEFGHJKLMNPQRSTUVWXYZ", 24)})
}

func (a *API) organizationsOfUser(c *call, u Doc) (Answer, error) {
	return c.list(a.organizations().listOf(c, c.all(KindOrganization, func(o Doc) bool {
		return slices.Contains(texts(o, "members"), text(u, "user_id"))
	})))
}

const defaultTicket = 5 * 24 * time.Hour
