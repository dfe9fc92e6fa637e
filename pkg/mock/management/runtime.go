package management

import (
	"encoding/json"
	"net/http"
	"slices"
)

// Objects that the tenant makes: sessions, refresh tokens, consents, logs and keys.

func (a *API) runtimeOne(kind string, missing *Error) func(*call) (Answer, error) {
	return func(c *call) (Answer, error) {
		d, found := c.get(kind, c.params[0])
		if !found {
			return Answer{}, missing
		}
		return answer(http.StatusOK, c.selectFields(d))
	}
}

func (a *API) endRuntime(kind string, status int) func(*call) (Answer, error) {
	return func(c *call) (Answer, error) {
		c.State.Remove(kind, c.params[0])
		if status == noContent {
			return empty()
		}
		return emptyObject(status)
	}
}

// revokeSession ends a session and the refresh tokens that belong to it.
func (a *API) revokeSession(c *call) (Answer, error) {
	for _, d := range c.all(KindRefreshToken, func(d Doc) bool { return text(d, "session_id") == c.params[0] }) {
		c.State.Remove(KindRefreshToken, text(d, "id"))
	}
	c.State.Remove(KindSession, c.params[0])
	return emptyObject(http.StatusAccepted)
}

var (
	errNoSession = refuse(http.StatusNotFound, "inexistent_session", "The session does not exist.")
	errNoToken   = refuse(http.StatusNotFound, "inexistent_refresh_token", "The refresh token does not exist.")
	errNoLog     = refuse(http.StatusNotFound, "inexistent_log", "The log does not exist.")
	errNoKey     = refuse(http.StatusNotFound, "inexistent_key", "The signing key does not exist.")
)

func (a *API) listRefreshTokens(c *call) (Answer, error) {
	user, client := c.Query.Get("user_id"), c.Query.Get("client_id")
	return c.list(docs("refresh_tokens", c.all(KindRefreshToken, func(d Doc) bool {
		return (user == "" || text(d, "user_id") == user) && (client == "" || text(d, "client_id") == client)
	})).as(checkpoint))
}

// revokeRefreshTokens ends tokens by ids, or those of a user or client.
func (a *API) revokeRefreshTokens(c *call) (Answer, error) {
	ids, user, client := texts(c.body, "ids"), text(c.body, "user_id"), text(c.body, "client_id")
	if len(ids) == 0 && user == "" && client == "" {
		return Answer{}, invalid("", "Missing required property: ids")
	}
	for _, d := range c.all(KindRefreshToken, nil) {
		listed := len(ids) == 0 || slices.Contains(ids, text(d, "id"))
		if listed && (user == "" || text(d, "user_id") == user) && (client == "" || text(d, "client_id") == client) {
			c.State.Remove(KindRefreshToken, text(d, "id"))
		}
	}
	return emptyObject(http.StatusAccepted)
}

func (a *API) listConsents(c *call) (Answer, error) {
	return c.list(docs("grants", c.all(KindConsent, func(d Doc) bool {
		for query, name := range map[string]string{"user_id": "user_id", "client_id": "clientID", "audience": "audience"} {
			if want := c.Query.Get(query); want != "" && text(d, name) != want {
				return false
			}
		}
		return true
	})))
}

func (a *API) deleteConsents(c *call) (Answer, error) {
	user := c.Query.Get("user_id")
	if user == "" {
		return Answer{}, validation("Query", "invalid_query_string", "", "Missing required property: user_id")
	}
	for _, d := range c.all(KindConsent, func(d Doc) bool { return text(d, "user_id") == user }) {
		c.State.Remove(KindConsent, text(d, "id"))
	}
	return empty()
}

// Logs are the tenant's journal, newest first.

func (a *API) listLogs(c *call) (Answer, error) {
	match, err := parseQuery(c.Query.Get("q"))
	if err != nil {
		return Answer{}, err
	}
	all := c.all(KindLog, match)
	if from := c.Query.Get("from"); from != "" || c.Query.Has("take") { // oldest first, after a log
		at := slices.IndexFunc(all, func(d Doc) bool { return text(d, "log_id") == from })
		all = all[at+1:]
		return answer(http.StatusOK, all[:min(len(all), c.number("take", defaultPage))])
	}
	slices.Reverse(all)
	l := docs("logs", all)
	l.item = func(i int) any { return c.selectFields(all[i]) }
	return c.list(l)
}

func (a *API) logsOfUser(c *call, u Doc) (Answer, error) {
	all := c.all(KindLog, func(d Doc) bool { return text(d, "user_id") == text(u, "user_id") })
	slices.Reverse(all)
	return c.list(docs("logs", all))
}

// Signing keys.

func (a *API) listKeys(c *call) (Answer, error) {
	return c.list(docs("keys", c.all(KindSigningKey, nil)).as(bare))
}

func (a *API) rotateKey(c *call) (Answer, error) {
	if err := c.State.RotateKey(); err != nil {
		return Answer{}, err
	}
	d, _ := c.get(KindSigningKey, c.State.IDs(KindSigningKey)[0])
	return answer(http.StatusCreated, d)
}

func (a *API) revokeKey(c *call) (Answer, error) {
	d, found := c.get(KindSigningKey, c.params[0])
	switch {
	case !found:
		return Answer{}, errNoKey
	case d["current"] == true:
		return Answer{}, refuse(http.StatusBadRequest, "", "The current key cannot be revoked; rotate it first")
	}
	c.State.Remove(KindSigningKey, c.params[0])
	d["revoked"], d["revoked_at"] = true, c.at()
	return answer(http.StatusOK, d)
}

// Keys of connections, which are stored only.

const kindConnectionKeys = "connection_keys"

func (a *API) connectionKeys(c *call, conn Doc) (Answer, error) {
	d, err := c.keysOfConnection(conn)
	if err != nil {
		return Answer{}, err
	}
	return answer(http.StatusOK, objects(d, "keys"))
}

func (c *call) keysOfConnection(conn Doc) (Doc, error) {
	d, found := c.get(kindConnectionKeys, text(conn, "id"))
	if found {
		return d, nil
	}
	current, next := c.newConnectionKey(conn), c.newConnectionKey(conn)
	current["current"], current["current_since"], current["next"] = true, c.at(), false
	d = Doc{"keys": []any{current, next}}
	return c.stored(kindConnectionKeys, text(conn, "id"), d)
}

// stored stores a document and returns it as it is read.
func (c *call) stored(kind, id string, d Doc) (Doc, error) {
	if err := c.put(kind, id, d); err != nil {
		return nil, err
	}
	d, _ = c.get(kind, id)
	return d, nil
}

func (c *call) newConnectionKey(conn Doc) Doc {
	cert := "-----BEGIN CERTIFICATE-----\r\n" + c.random(alphanumerics, 64) + "\r\n-----END CERTIFICATE-----\r\n"
	return Doc{
		"kid": c.random(alphanumerics+"-_", 43), "algorithm": "RS256", "key_use": "signing", "subject_dn": "/CN=" + text(conn, "name"), "cert": cert,
		"pkcs": "-----BEGIN PKCS7-----\r\n" + c.random(alphanumerics, 64) + "\r\n-----END PKCS7-----\r\n", "fingerprint": c.random(hexDigits, 40),
		"thumbprint": c.random(hexDigits, 40), "next": true, "current": false, "previous": false,
	}
}

func (a *API) rotateConnectionKeys(c *call, conn Doc) (Answer, error) {
	d, err := c.keysOfConnection(conn)
	if err != nil {
		return Answer{}, err
	}
	next := c.newConnectionKey(conn)
	rotated := []any{}
	for _, k := range objects(d, "keys") {
		switch {
		case k["current"] == true:
			k["current"], k["previous"] = false, true
		case k["next"] == true:
			k["next"], k["current"], k["current_since"] = false, true, c.at()
		default:
			continue
		}
		rotated = append(rotated, k)
	}
	if err := c.put(kindConnectionKeys, text(conn, "id"), Doc{"keys": append(rotated, next)}); err != nil {
		return Answer{}, err
	}
	return answer(http.StatusCreated, next)
}

func (a *API) connectionStatus(*call, Doc) (Answer, error) {
	return answer(http.StatusOK, json.RawMessage(`{"online":true}`))
}
