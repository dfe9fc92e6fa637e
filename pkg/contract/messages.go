package contract

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// invitation:other: {{invitation}} is the ticket of an invitation of other@example.com
// to {{organization}}.
func stepInvitation(ctx context.Context, s *scene, arg string) error {
	body, err := s.vars.fillValue(newObject(
		"inviter", newObject("name", "Contract"), "invitee", newObject("email", arg+"@example.com"), "client_id", "{{client_id}}",
	))
	if err != nil {
		return err
	}
	o, err := s.wire.readControl(ctx, "POST organizations/"+s.vars["organization"]+"/invitations", body)
	if err != nil {
		return err
	}
	if o.text("ticket_id") == "" {
		return errors.New("the invitation has no ticket_id")
	}
	s.setSecret("invitation", o.text("ticket_id"))
	return nil
}

// invitation_consumed: the ticket of the case's request is unknown now.
func mustBeConsumed(ctx context.Context, s *scene, _ string) error {
	a, err := s.request(ctx, s.c.Request)
	if err != nil {
		return err
	}
	to := a.location()
	if to == nil || to.Query().Get("error_description") != "invitation not found or already used" {
		return errors.New("the ticket must be consumed: " + a.summary())
	}
	return nil
}

// passwordless_start asks for a code by email, or with :sms by SMS; {{otp}} is the code
// that the mock sent, as its control API shows it.
func stepPasswordlessStart(ctx context.Context, s *scene, arg string) error {
	request := map[string]string{
		"client_id": "{{client_id}}", "client_secret": "{{client_secret}}", "connection": "email", "email": "{{username}}", "send": "code",
	}
	to := s.vars["username"]
	if arg == "sms" {
		request["connection"], request["phone_number"] = "sms", "+15550100"
		delete(request, "email")
		delete(request, "send")
		to = request["phone_number"]
	}
	filled, err := s.vars.fillMap(request)
	if err != nil {
		return err
	}
	a, err := s.wire.send(ctx, nil, http.MethodPost, s.target.Issuer+"passwordless/start",
		http.Header{"Content-Type": {"application/json"}}, encodeJSON(filled))
	switch {
	case err != nil:
		return err
	case a.status != http.StatusOK:
		return errors.New("no code was sent: " + a.summary())
	}
	code, err := s.lastCode(ctx, to)
	if err == nil {
		s.setSecret("otp", code)
	}
	return err
}

// lastCode returns the code of the last message to an address.
func (s *scene) lastCode(ctx context.Context, to string) (string, error) {
	o, err := s.wire.readControl(ctx, "GET mails", nil)
	if err != nil {
		return "", err
	}
	list, _ := o.values["mails"].([]any)
	code := ""
	for _, item := range list {
		if m, ok := item.(*object); ok && strings.EqualFold(m.text("to"), to) && m.text("code") != "" {
			code = m.text("code")
		}
	}
	if code == "" {
		return "", errors.New("the control API shows no message with a code")
	}
	return code, nil
}

// newObject makes an object of alternating keys and values.
func newObject(pairs ...any) *object {
	o := &object{values: map[string]any{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		key := pairs[i].(string) //nolint:forcetypeassert // constants
		o.keys = append(o.keys, key)
		o.values[key] = pairs[i+1]
	}
	return o
}
