package management

import (
	"net/http"
	"slices"
	"strings"
)

var errNoMethod = refuse(http.StatusNotFound, "", "Authentication method does not exist")

// authentication methods are in the member enrolled of a user's document. Those with a
// TOTP secret, phone number or address are second factors of the user's logins.

func (c *call) newMethod(sent Doc) (Doc, error) {
	kind := text(sent, "type")
	if !slices.Contains([]string{"phone", "email", "totp", "webauthn-roaming", "webauthn-platform", "passkey"}, kind) {
		return nil, invalid("type", "No enum match for: %s", clip(kind))
	}
	d := Doc{"id": kind + "|dev_" + c.random(alphanumerics, 16), "type": kind, "confirmed": true, "created_at": c.at()}
	for _, name := range []string{"name", "email", "phone_number", "preferred_authentication_method", "totp_secret", "key_id", "public_key", "relying_party_identifier"} {
		if sent[name] != nil {
			d[name] = sent[name]
		}
	}
	if kind == "phone" {
		method := text(d, "preferred_authentication_method")
		if method == "" {
			method = "sms"
			d["preferred_authentication_method"] = method
		}
		d["authentication_methods"] = []any{Doc{"id": method + "|" + strings.TrimPrefix(text(d, "id"), "phone|"), "type": method}}
	}
	return d, nil
}

// showMethod masks what a method has of the user, except in the answer to a PUT.
func showMethod(d Doc, masked bool) Doc {
	delete(d, "totp_secret")
	if masked {
		if at, host, found := strings.Cut(text(d, "email"), "@"); found {
			d["email"] = at[:min(4, len(at))] + "****@" + host[:min(4, len(host))] + "*******"
		}
		if n := text(d, "phone_number"); len(n) > 4 {
			d["phone_number"] = strings.Repeat("X", len(n)-4) + n[len(n)-4:]
		}
	}
	return d
}

func (c *call) storeMethods(u Doc, all []Doc) error {
	u["enrolled"] = list(all)
	return c.put(KindUser, text(u, "user_id"), u)
}

func (a *API) methods(c *call, u Doc) (Answer, error) {
	all := objects(u, "enrolled")
	switch c.Method {
	case http.MethodGet:
		l := docs("authenticators", all)
		l.item = func(i int) any { return showMethod(all[i], true) }
		if l.n == 0 {
			l.form = noTotal
		}
		return c.list(l)
	case http.MethodDelete:
		if err := c.storeMethods(u, nil); err != nil {
			return Answer{}, err
		}
		return empty()
	case http.MethodPost:
		d, err := c.newMethod(c.body)
		if err != nil {
			return Answer{}, err
		}
		if err := c.storeMethods(u, append(all, d)); err != nil {
			return Answer{}, err
		}
		d = showMethod(d, true)
		delete(d, "confirmed")
		return answer(http.StatusCreated, d)
	}
	all = nil
	for _, item := range c.items {
		sent, _ := item.(Doc)
		d, err := c.newMethod(sent)
		if err != nil {
			return Answer{}, err
		}
		all = append(all, d)
	}
	if err := c.storeMethods(u, all); err != nil {
		return Answer{}, err
	}
	for _, d := range all {
		delete(showMethod(d, false), "confirmed")
	}
	return answer(http.StatusOK, list(all))
}

func (a *API) method(c *call, u Doc) (Answer, error) {
	all := objects(u, "enrolled")
	at := slices.IndexFunc(all, func(d Doc) bool { return text(d, "id") == c.params[1] })
	switch {
	case at < 0 && c.Method == http.MethodDelete:
		return empty()
	case at < 0:
		return Answer{}, errNoMethod
	case c.Method == http.MethodDelete:
		if err := c.storeMethods(u, slices.Delete(all, at, at+1)); err != nil {
			return Answer{}, err
		}
		return empty()
	case c.Method == http.MethodPatch:
		all[at] = patch("", all[at], c.body)
		if err := c.storeMethods(u, all); err != nil {
			return Answer{}, err
		}
		d := showMethod(all[at], true)
		delete(d, "confirmed")
		return answer(http.StatusOK, d)
	}
	return answer(http.StatusOK, showMethod(all[at], true))
}
