package contract

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// stepFunc is a step of a case's setup that is more than calls to the control surface.
type stepFunc func(ctx context.Context, s *scene, arg string) error

// steps are the named steps; the ones that only plant are in plants.json.
func steps() map[string]stepFunc {
	return map[string]stepFunc{
		"user":             func(context.Context, *scene, string) error { return nil }, // says that the case needs one
		"session":          stepSession,
		"login":            stepLogin,
		"code":             func(ctx context.Context, s *scene, _ string) error { return s.obtainCode(ctx) },
		"exchange":         func(ctx context.Context, s *scene, _ string) error { return s.exchange(ctx) },
		"refresh":          stepRefresh,
		"replay":           stepReplay,
		"revoke":           stepRevoke,
		"as":               stepAs,
		"as_previous":      stepPrevious,
		"as_sibling":       stepSibling,
		"ulp_state":        stepLoginState,
		"advance":          stepAdvance,
		"device":           stepDevice,
		"poll":             stepPoll,
		"wrong_passwords":  stepWrongPasswords,
		"failed_exchanges": stepFailedExchanges,
	}
}

// usesUser are the steps that need somebody who signs in.
var usesUser = []string{"user", "session", "login", "code"}

// session: the user is signed in and has consented to the authorization request.
func stepSession(ctx context.Context, s *scene, _ string) error { return s.obtainCode(ctx) }

// login: the user is signed in and was asked for consent, which is not given.
func stepLogin(ctx context.Context, s *scene, _ string) error {
	a, err := s.signIn(ctx, leave)
	switch {
	case errors.Is(err, errLeft):
		return nil
	case err != nil:
		return err
	}
	return errors.New("the tenant did not ask for consent: " + a.summary())
}

// refresh: {{rt}} is exchanged; it becomes {{rt_previous}}, its successor {{rt}}.
func stepRefresh(ctx context.Context, s *scene, _ string) error {
	old := s.vars["rt"]
	a, err := s.refresh(ctx, "rt")
	if err != nil {
		return err
	}
	if err := s.takeTokens(a); err != nil {
		return err
	}
	s.keep("rt_previous", old)
	return nil
}

// replay: the rotated token is sent again; the tenant must refuse it.
func stepReplay(ctx context.Context, s *scene, _ string) error {
	a, err := s.refresh(ctx, "rt_previous")
	if err == nil && a.status == http.StatusOK {
		err = errors.New("the rotated refresh token still works")
	}
	return err
}

// as_previous: {{rt}} is the rotated token from now on, its successor {{rt_newest}}.
func stepPrevious(_ context.Context, s *scene, _ string) error {
	s.keep("rt_newest", s.vars["rt"])
	s.keep("rt", s.vars["rt_previous"])
	return nil
}

// as_sibling: {{rt}} and {{rt_sibling}} change places; either may be missing yet.
func stepSibling(_ context.Context, s *scene, _ string) error {
	rt, sibling := s.vars["rt"], s.vars["rt_sibling"]
	s.keep("rt", sibling)
	s.keep("rt_sibling", rt)
	return nil
}

func stepRevoke(ctx context.Context, s *scene, _ string) error {
	a, err := s.post(ctx, "oauth/revoke", map[string]string{
		"client_id": "{{client_id}}", "client_secret": "{{client_secret}}", "token": "{{rt}}",
	})
	if err == nil && a.status != http.StatusOK {
		err = errors.New("not revoked: " + a.summary())
	}
	return err
}

// as:other: the steps that follow are another client's, until as:client.
func stepAs(ctx context.Context, s *scene, arg string) error {
	s.actor = ""
	if arg != "other" {
		return nil
	}
	s.actor = "other_"
	return s.plant(ctx, s.data.plants.Steps["client:other"])
}

// ulp_state: the state of the sign-in page that a browser of its own was sent to.
func stepLoginState(ctx context.Context, s *scene, _ string) error {
	u, err := s.authorizeURL()
	if err != nil {
		return err
	}
	a, err := newBrowser(s.wire, "", "").get(ctx, u)
	if err != nil {
		return err
	}
	to := a.location()
	if to == nil || to.Query().Get("state") == "" || !strings.HasPrefix(to.String(), s.target.Issuer) {
		return errors.New("no sign-in page: " + a.summary())
	}
	s.keep("ulp_state", to.Query().Get("state"))
	return nil
}

func stepAdvance(ctx context.Context, s *scene, arg string) error {
	if _, err := time.ParseDuration(arg); err != nil {
		return err
	}
	return s.wire.control(ctx, "POST clock", &object{keys: []string{"advance"}, values: map[string]any{"advance": arg}})
}

// device: a device asks for a code; device:cancel: the person cancels it.
func stepDevice(ctx context.Context, s *scene, arg string) error {
	if arg == "cancel" {
		return cancelDevice(ctx, s)
	}
	a, err := s.post(ctx, "oauth/device/code", map[string]string{
		"client_id": "{{client_id}}", "scope": "openid offline_access", "audience": "{{audience}}",
	})
	if err != nil {
		return err
	}
	o, err := parseObject(a.body)
	if a.status != http.StatusOK || err != nil || o.text("device_code") == "" {
		return errors.New("no device code came: " + a.summary())
	}
	s.keep("dc", o.text("device_code"))
	s.keep("user_code", o.text("user_code"))
	return nil
}

func cancelDevice(ctx context.Context, s *scene) error {
	a, err := s.browser.get(ctx, s.target.Issuer+"activate?user_code="+url.QueryEscape(s.vars["user_code"]))
	if err != nil {
		return err
	}
	if a, err = s.browser.walk(ctx, a, decline); err == nil && a.status != http.StatusOK {
		err = errors.New("not cancelled: " + a.summary())
	}
	return err
}

func stepPoll(ctx context.Context, s *scene, _ string) error {
	_, err := s.grant(ctx, "urn:ietf:params:oauth:grant-type:device_code", map[string]string{"device_code": "{{dc}}"})
	return err
}

// wrong_passwords:n and failed_exchanges:n fail n times, on a planted tenant only.
func stepWrongPasswords(ctx context.Context, s *scene, arg string) error {
	return s.repeat(ctx, arg, "password", map[string]string{"username": "{{username}}", "password": "wrong"})
}

func stepFailedExchanges(ctx context.Context, s *scene, arg string) error {
	return s.repeat(ctx, arg, "urn:ietf:params:oauth:grant-type:token-exchange", map[string]string{
		"subject_token": "bad", "subject_token_type": "urn:x",
	})
}

func (s *scene) repeat(ctx context.Context, times, grantType string, form map[string]string) error {
	if !s.planted() {
		return errors.New("only a planted tenant is made to refuse again and again")
	}
	n, err := strconv.Atoi(times)
	for range n {
		if _, err := s.grant(ctx, grantType, form); err != nil {
			return err
		}
	}
	return err
}

// followUps are the checks that a case may make after its answer.
func followUps() map[string]stepFunc {
	return map[string]stepFunc{
		"dead":       mustBeDead,
		"lives":      mustLive,
		"code_lives": func(ctx context.Context, s *scene, _ string) error { return s.exchange(ctx) },
		"signed_out": mustBeSignedOut,
	}
}

func mustBeDead(ctx context.Context, s *scene, arg string) error {
	a, err := s.refresh(ctx, arg)
	if err == nil && (a.status != http.StatusForbidden || a.code() != "invalid_grant") {
		err = fmt.Errorf("the refresh token must be refused with 403 invalid_grant: %s", a.summary())
	}
	return err
}

func mustLive(ctx context.Context, s *scene, arg string) error {
	a, err := s.refresh(ctx, arg)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("the refresh token must work: %s", a.summary())
	}
	return err
}

func mustBeSignedOut(ctx context.Context, s *scene, _ string) error {
	u, err := s.authorizeURL()
	if err != nil {
		return err
	}
	a, err := s.browser.get(ctx, u+"&prompt=none")
	if err == nil && a.code() != "login_required" {
		err = fmt.Errorf("the session must have ended: %s", a.summary())
	}
	return err
}
