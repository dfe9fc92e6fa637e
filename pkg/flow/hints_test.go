package flow

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// The hint of a refusal names the setting that caused it.
func TestRefusal_HintNamesSetting(t *testing.T) {
	for _, c := range []struct {
		source            Source
		code, description string
		hint              string
	}{
		{ClientCredentials{}, "access_denied", "Service not found: https://x/", "audience (--audience)"},
		{ClientCredentials{}, "invalid_target", "", "audience (--audience)"},
		{ClientCredentials{}, "invalid_scope", "no such", "scopes (--scope)"},
		{Password{Username: "u", Password: "long-password", Realm: "r"}, "invalid_request", "connection r does not exist", "set realm"},
		{ClientCredentials{}, "access_denied", "no", "the tenant's log"},
		{nil, "unauthorized", "user is blocked", "unblock the user at the tenant, then log in again"},
		{ClientCredentials{}, "invalid_request", "no", "check the client's"},
		{Seed{RefreshToken: "seed"}, "invalid_grant", "no", "give a new refresh token (refresh_token_file"},
	} {
		cl := &Client{cfg: &Config{Source: c.source}}
		e := &Error{Code: c.code, Description: c.description, Status: 403}
		classifyCode(e)
		if cl.addSettingHint(e); !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s %s: hint %q", c.code, c.description, e.Hint)
		}
	}
}

// A rejected seed has the same hint from then on.
func TestSeed_Rejected_HintStays(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := mustNew(t, func() Config { c := s.config(); c.Source = Seed{RefreshToken: "unknown"}; return c }())
		for range 2 {
			_, err := c.Get(t.Context(), Request{})
			if e := wantError(t, err, ClassLoginRequired, "hint: "+seedHint); e.Remedy != RemedySetting {
				t.Errorf("remedy %q", e.Remedy)
			}
		}
		if f := c.Status().Failure; f.Hint != seedHint || f.Remedy != RemedySetting {
			t.Errorf("%+v", f)
		}
	})
}

func TestFailure_HasCause(t *testing.T) {
	c := &Client{cfg: &Config{Now: time.Now}}
	if f := c.failureOf(&Error{Class: ClassUnreachable, Err: errors.New("no route")}); f.Description != "no route" {
		t.Errorf("%+v", f)
	}
}

func TestRedact(t *testing.T) {
	const text = "Grant type 'password' not allowed for the client."
	if got := redact(text, []string{"password", ""}); got != text {
		t.Errorf("masked a word of the protocol: %s", got)
	}
	if got := redact("wrong: hunter2", []string{"hunter2"}); got != "wrong: "+masked {
		t.Errorf("not masked: %s", got)
	}
}

// A refusal without a description shows its code; if a login may help, the hint
// says how this client logs in.
func TestRefusal_NoDescription_ShowsCode(t *testing.T) {
	for name, tc := range map[string]struct {
		body, text, hint string
		seed             bool
		class            Class
	}{
		"client":          {`{"error":"invalid_client"}`, "the provider answers invalid_client", "check client id", false, ClassClientRejected},
		"a dead token":    {`{"error":"invalid_grant"}`, "the provider answers invalid_grant", "", false, ClassLoginRequired},
		"a login":         {`{"error":"login_required"}`, "the provider answers login_required", "", false, ClassLoginRequired},
		"nested":          {`{"error":{"code":"invalid_client","message":"unknown client"}}`, "unknown client", "check client id", false, ClassClientRejected},
		"login":           {`{"error":"unauthorized_client"}`, "the provider answers unauthorized_client", "or log in again", false, ClassClientRejected},
		"no login (seed)": {`{"error":"unauthorized_client"}`, "the provider answers unauthorized_client", "or " + seedHint, true, ClassClientRejected},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				cfg := s.config()
				if tc.seed {
					cfg.Source = Seed{RefreshToken: "seed"}
				}
				c := mustNew(t, cfg)
				if !tc.seed {
					c = s.loggedIn(t, nil)
				}
				s.keep(raw(400, "application/json", tc.body))
				_, err := c.Refresh(t.Context())
				if e := wantError(t, err, tc.class, tc.text); !strings.Contains(e.Hint, tc.hint) || tc.seed && strings.Contains(e.Hint, "log in") {
					t.Errorf("hint %q", e.Hint)
				}
				if f := c.Status().Failure; !strings.Contains(f.Description, tc.text) {
					t.Errorf("status %+v", f)
				}
			})
		})
	}
}

// An error of the store has one hint, and no Go package name.
func TestStoreError_OneHint(t *testing.T) {
	replaced := error(hintedError{fmt.Errorf("sqlite: /db was deleted while it was in use: %w", ErrReplaced), "restart tokend"})
	for want, err := range map[string]error{
		"load: store_unavailable: sqlite: /db was deleted while it was in use\nhint: restart tokend": replaced,
		"load: store_unavailable: the store was deleted, replaced or restored":                       ErrReplaced,
		"load: lease_busy: sqlite: lock: the grant was changed by another process\nhint: try again":  fmt.Errorf("sqlite: lock: %w", ErrConflict),
	} {
		if e := storeError("load", err); e.Error() != want || !errors.Is(e, errors.Unwrap(e)) {
			t.Errorf("got %q, want %q", e, want)
		}
	}
}

// A logout reports an error of the store, with and without a grant, even after
// other failures.
func TestForget_StoreError_IsReported(t *testing.T) {
	for _, grant := range []bool{true, false} {
		for _, op := range []string{"lock", "load", "save", ""} {
			bubble(t, func(t *testing.T, s *tenant) {
				store := &brokenStore{Store: NewMemoryStore()}
				cfg := s.config()
				cfg.Store = store
				c := mustNew(t, cfg)
				if grant {
					c = s.loggedIn(t, func(c *Config) { c.Store = store })
				}
				store.set(func(string, *Grant) error { return errDisk })
				if _, err := c.Refresh(t.Context()); err == nil {
					t.Fatal("refreshed without a store")
				}
				store.set(func(o string, _ *Grant) error {
					if o == op {
						return errDisk
					}
					return nil
				})
				err := c.Forget(t.Context())
				if op == "" {
					if err != nil || c.Status().State != StateLoginRequired {
						t.Errorf("grant %v: %v, %+v", grant, err, c.Status())
					}
					return
				}
				wantError(t, err, ClassStoreUnavailable, "no space left")
			})
		}
	}
}

// hintedError has a hint, like the errors of a store.
type hintedError struct {
	error
	hint string
}

func (e hintedError) Hint() string  { return e.hint }
func (e hintedError) Unwrap() error { return e.error }
