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

// stepFunc is a step of a case's setup that needs more than control calls.
type stepFunc func(ctx context.Context, s *scene, arg string) error

// steps returns the steps; those of control calls only are in mock_setup.json.
func steps() map[string]stepFunc {
	return map[string]stepFunc{
		"user":             func(context.Context, *scene, string) error { return nil }, // marks a case that needs a user
		"session":          stepSession,
		"login":            stepLogin,
		"code":             func(ctx context.Context, s *scene, _ string) error { return s.obtainCode(ctx) },
		"exchange":         stepExchange,
		"dpop":             stepProof,
		"invitation":       stepInvitation,
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
		"with":             stepWith,

		"passwordless_start": stepPasswordlessStart,
		"mfa":                stepMFA,
		"mfa_token":          stepMFAToken,
		"mfa_challenge":      stepMFAChallenge,
		"mfa_reject":         stepMFAReject,
	}
}

// usesUser are the steps that need a user.
var usesUser = []string{"user", "session", "login", "code"}

// session: the user is logged in and has consented to the authorization request.
func stepSession(ctx context.Context, s *scene, _ string) error { return s.obtainCode(ctx) }

// login: the user is logged in and has not answered the consent page.
func stepLogin(ctx context.Context, s *scene, _ string) error {
	a, err := s.logIn(ctx, leave)
	switch {
	case errors.Is(err, errLeft):
		return nil
	case err != nil:
		return err
	}
	return errors.New("the tenant did not ask for consent: " + a.summary())
}

// refresh: {{rt}} is exchanged and becomes {{rt_previous}}; its successor is {{rt}}.
func stepRefresh(ctx context.Context, s *scene, _ string) error {
	old := s.vars["rt"]
	a, err := s.refresh(ctx, "rt")
	if err != nil {
		return err
	}
	if err := s.takeTokens(a); err != nil {
		return err
	}
	s.setSecret("rt_previous", old)
	return nil
}

// replay: the rotated token is sent again, and the tenant must refuse it.
func stepReplay(ctx context.Context, s *scene, _ string) error {
	a, err := s.refresh(ctx, "rt_previous")
	if err == nil && a.status == http.StatusOK {
		err = errors.New("the rotated refresh token still works")
	}
	return err
}

// as_previous: {{rt}} becomes the rotated token, and its successor {{rt_newest}}.
func stepPrevious(_ context.Context, s *scene, _ string) error {
	s.setSecret("rt_newest", s.vars["rt"])
	s.setSecret("rt", s.vars["rt_previous"])
	return nil
}

// as_sibling: {{rt}} and {{rt_sibling}} are swapped; either may be unset.
func stepSibling(_ context.Context, s *scene, _ string) error {
	rt, sibling := s.vars["rt"], s.vars["rt_sibling"]
	s.setSecret("rt", sibling)
	s.setSecret("rt_sibling", rt)
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

// as:other: the following steps use another client, until as:client.
func stepAs(ctx context.Context, s *scene, arg string) error {
	s.actor = ""
	if arg != "other" {
		return nil
	}
	s.actor = "other_"
	return s.applyCalls(ctx, s.data.mockSetup.Steps["client:other"])
}

// ulp_state: the state of the login page of another browser.
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
		return errors.New("no login page: " + a.summary())
	}
	s.setSecret("ulp_state", to.Query().Get("state"))
	return nil
}

func stepAdvance(ctx context.Context, s *scene, arg string) error {
	if _, err := time.ParseDuration(arg); err != nil {
		return err
	}
	return s.wire.control(ctx, "POST clock", &object{keys: []string{"advance"}, values: map[string]any{"advance": arg}})
}

// device: a device requests a code. device:cancel: the user cancels it.
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
		return errors.New("no device code: " + a.summary())
	}
	s.setSecret("dc", o.text("device_code"))
	s.setSecret("user_code", o.text("user_code"))
	return nil
}

func cancelDevice(ctx context.Context, s *scene) error {
	a, err := s.browser.get(ctx, s.target.Issuer+"activate?user_code="+url.QueryEscape(s.vars["user_code"]))
	if err != nil {
		return err
	}
	if a, err = s.browser.followPages(ctx, a, decline); err == nil && a.status != http.StatusOK {
		err = errors.New("not cancelled: " + a.summary())
	}
	return err
}

func stepPoll(ctx context.Context, s *scene, _ string) error {
	_, err := s.grant(ctx, "urn:ietf:params:oauth:grant-type:device_code", map[string]string{"device_code": "{{dc}}"})
	return err
}

// wrong_passwords:n and failed_exchanges:n fail n times, on a mock only.
func stepWrongPasswords(ctx context.Context, s *scene, arg string) error {
	return s.repeat(ctx, arg, "password", map[string]string{"username": "{{username}}", "password": "wrong"})
}

func stepFailedExchanges(ctx context.Context, s *scene, arg string) error {
	return s.repeat(ctx, arg, "urn:ietf:params:oauth:grant-type:token-exchange", map[string]string{
		"subject_token": "bad", "subject_token_type": "urn:x",
	})
}

func (s *scene) repeat(ctx context.Context, times, grantType string, form map[string]string) error {
	if !s.isMock() {
		return errors.New("repeated failures are for a mock only")
	}
	n, err := strconv.Atoi(times)
	for range n {
		if _, err := s.grant(ctx, grantType, form); err != nil {
			return err
		}
	}
	return err
}

// followUps returns the checks of Case.After.
func followUps() map[string]stepFunc {
	return map[string]stepFunc{
		"dead":       mustBeRevoked,
		"lives":      mustWork,
		"code_lives": func(ctx context.Context, s *scene, _ string) error { return s.exchange(ctx) },
		"signed_out": mustBeSignedOut,

		"code_lives_with_nonce": mustExchangeWithNonce,
		"lives_dpop":            mustWorkWithProof,
		"management":            mustAnswer,
		"invitation_consumed":   mustBeConsumed,
		"logout_token":          mustGetLogoutToken,
		"no_logout_token":       mustGetNoLogoutToken,
	}
}

func mustBeRevoked(ctx context.Context, s *scene, arg string) error {
	a, err := s.refresh(ctx, arg)
	if err == nil && (a.status != http.StatusForbidden || a.code() != "invalid_grant") {
		err = fmt.Errorf("the refresh token must be refused with 403 invalid_grant: %s", a.summary())
	}
	return err
}

func mustWork(ctx context.Context, s *scene, arg string) error {
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
