package management

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

var errNoInvitation = refuse(http.StatusNotFound, "inexistent_invitation", "The invitation does not exist.")

const (
	invitationLife = 7 * 24 * time.Hour
	invitationMost = 30 * 24 * time.Hour
)

func (a *API) listInvitations(c *call, o Doc) (Answer, error) {
	l := docs("invitations", c.all(KindInvitation, func(in Doc) bool { return text(in, "organization_id") == text(o, "id") })).as(noTotal)
	item := l.item
	l.item = func(i int) any { return c.selectFields(item(i).(Doc)) }
	return c.list(l)
}

func (a *API) createInvitation(c *call, o Doc) (Answer, error) {
	client, found := c.get(KindClient, text(c.body, "client_id"))
	email := text(child(c.body, "invitee"), "email")
	life, ttl := invitationLife, c.body["ttl_sec"]
	if n, sent := ttl.(float64); sent {
		life = time.Duration(n) * time.Second
	}
	switch {
	case !found:
		return Answer{}, errNoClient
	case text(client, "organization_usage") != "allow" && text(client, "organization_usage") != "require":
		return Answer{}, refuse(http.StatusBadRequest, "invalid_body", "The client does not support organizations")
	case !strings.Contains(email, "@"):
		return Answer{}, invalid("invitee.email", "Object didn't pass validation for format email: %s", clip(email))
	case life < 0 || life > invitationMost:
		return Answer{}, invalid("ttl_sec", "Value %v is greater than maximum 2592000", ttl)
	}
	link := text(client, "initiate_login_uri")
	if link == "" {
		link = c.Issuer + "login"
	}
	ticket := c.random(alphanumerics, 32)
	q := url.Values{"invitation": {ticket}, "organization": {text(o, "id")}, "organization_name": {text(o, "name")}}
	d := Doc{
		"id": "uinv_" + c.random(alphanumerics, 16), "organization_id": o["id"], "client_id": client["client_id"],
		"inviter": c.body["inviter"], "invitee": c.body["invitee"], "invitation_url": link + "?" + q.Encode(), "ticket_id": ticket,
		"created_at": c.at(), "expires_at": stamp(c.Now.Add(life)),
	}
	for _, name := range []string{"app_metadata", "user_metadata", "connection_id", "roles"} {
		if c.body[name] != nil {
			d[name] = c.body[name]
		}
	}
	if err := c.put(KindInvitation, text(d, "id"), d); err != nil {
		return Answer{}, err
	}
	if c.body["send_invitation_email"] != false {
		c.State.Send(Message{Kind: "invitation", To: email, Link: text(d, "invitation_url")})
	}
	return answer(http.StatusCreated, d)
}

func (a *API) invitation(c *call, o Doc) (Answer, error) {
	d, found := c.get(KindInvitation, c.params[1])
	found = found && text(d, "organization_id") == text(o, "id")
	if c.Method == http.MethodDelete {
		if found {
			c.State.Remove(KindInvitation, c.params[1])
		}
		return empty()
	}
	if !found {
		return Answer{}, errNoInvitation
	}
	return answer(http.StatusOK, c.selectFields(d))
}
