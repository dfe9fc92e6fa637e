package flow

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A refresh that gains no time is followed by a pause that grows to 15 minutes,
// so that a provider with such tokens is not asked all the time. It is logged
// once, and shown in the status.
func TestNoGain_Pauses(t *testing.T) {
	for name, tc := range map[string]struct {
		source Source
		answer func(s *tenant, b map[string]any)
		reason string
		class  Class // of a caller's error once the first token has ended
	}{
		"no lifetime":                      {AuthorizationCode{Headless: true}, lives(0), "expires_in is 0", ClassBadResponse},
		"no lifetime, without a successor": {AuthorizationCode{Headless: true}, noSuccessor(lives(0)), "expires_in is 0", ClassBadResponse},
		"a second":                         {AuthorizationCode{Headless: true}, lives(1), "tokens live 1s", ""},
		"expired on arrival": {AuthorizationCode{Headless: true}, func(_ *tenant, b map[string]any) {
			b["access_token"] = unsigned(map[string]any{"exp": time.Now().Add(-time.Minute).Unix()})
		}, "expired on arrival", ClassBadResponse},
		"another use of the token": {AuthorizationCode{Headless: true}, func(_ *tenant, b map[string]any) { b["token_type"] = "mac" }, `token_type "mac"`, ClassBadResponse},
		"no refresh token":         {Password{Username: "u", Password: "p"}, lives(0), "expires_in is 0", ClassBadResponse},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				var log strings.Builder
				c := s.newCredentialClient(t, tc.source, func(c *Config) { c.RedirectURL, c.Log = "http://localhost/callback", logTo(&log) })
				stop := running(t, c)
				s.answer = func(b map[string]any) { tc.answer(s, b) }
				s.refuses = nil
				first := s.count("")
				if _, ok := tc.source.(Password); ok {
					s.keep(raw(200, "application/json", `{"access_token":"at","expires_in":0}`))
				}
				time.Sleep(24 * time.Hour)
				synctest.Wait()
				if n := s.count("") - first; n < 90 || n > 105 {
					t.Errorf("%d requests in a day, want one in 15 minutes", n)
				}
				if n := strings.Count(log.String(), "a refresh gained no time"); strings.Count(log.String(), `"level":"WARN"`) != 1 || n < 10 {
					t.Errorf("%d lines, not one warning: %.2000s", n, log.String())
				}
				st := c.Status()
				if f := st.Failure; f == nil || !strings.Contains(f.Description, tc.reason) || (f.Hint == lifetimeHint) == (tc.reason == `token_type "mac"`) {
					t.Errorf("status %+v, %+v", st, st.Failure)
				}
				n := s.count("")
				_, err := c.Get(t.Context(), Request{})
				wantError(t, err, ClassBadResponse, tc.reason)
				if s.count("") != n {
					t.Error("a caller made a request during the pause")
				}
				if _, err := c.Refresh(t.Context()); s.count("") != n+1 || err != nil && tc.class == "" {
					t.Errorf("%d requests: a forced refresh acts at once; %v", s.count("")-n, err)
				}
				s.answer = nil
				s.keep(nil)
				if _, err := c.Refresh(t.Context()); err != nil || c.Status().State != StateReady || len(c.noGainRuns) != 0 {
					t.Errorf("%v, %+v", err, c.Status())
				}
				stop()
			})
		})
	}
}

func lives(seconds int) func(*tenant, map[string]any) {
	return func(_ *tenant, b map[string]any) { b["expires_in"] = seconds }
}

// noSuccessor removes the refresh token, like a provider that does not rotate.
func noSuccessor(f func(*tenant, map[string]any)) func(*tenant, map[string]any) {
	return func(s *tenant, b map[string]any) {
		if rt, ok := b["refresh_token"].(string); ok {
			s.refresh[s.refresh[rt].previous] = &family{current: s.refresh[rt].previous}
		}
		delete(b, "refresh_token")
		f(s, b)
	}
}

// A provider that repeats its token until its expiry is asked less and less
// often, and again after the expiry; callers get the token all the time.
func TestNoGain_RepeatedToken_PausesGrow(t *testing.T) {
	for _, repeats := range []string{"text", "end"} {
		bubble(t, func(t *testing.T, s *tenant) {
			end := time.Now().Add(time.Hour)
			s.answer = func(b map[string]any) {
				if left := time.Until(end); left > 0 {
					b["expires_in"] = int(left.Seconds())
					if repeats == "text" {
						b["access_token"] = "at-same"
					}
				}
			}
			c := mustNew(t, s.config())
			defer running(t, c)()
			time.Sleep(59*time.Minute + 58*time.Second)
			if n := s.count("refresh_token"); n < 3 || n > 8 {
				t.Errorf("%s: %d requests", repeats, n)
			}
			if st := c.Status(); st.State != StateDegraded || st.Failure.Hint != lifetimeHint || !strings.Contains(st.Failure.Description, "expires no later") {
				t.Errorf("%s: %+v, %+v", repeats, st, st.Failure)
			}
			n := s.count("refresh_token")
			if tok, err := c.Get(t.Context(), Request{MinValidity: time.Minute}); err != nil || tok.Remaining(time.Now()) > 3*time.Second || s.count("refresh_token") != n {
				t.Errorf("%s: %v, %v", repeats, tok, err)
			}
			time.Sleep(3 * time.Second)
			if st := c.Status(); st.State != StateReady || st.Expiry.Sub(end) < 59*time.Minute {
				t.Errorf("%s: %s until %v", repeats, st.State, st.Expiry)
			}
		})
	}
}

func TestNoGain_Decision(t *testing.T) {
	from := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	token := func(at, end time.Duration) *Token { return &Token{Obtained: from.Add(at), Expiry: from.Add(end)} }
	for _, tc := range []struct {
		was, t *Token
		want   bool
	}{
		{nil, token(0, time.Hour), false},
		{nil, token(0, time.Second), true},
		{nil, token(0, 1001*time.Millisecond), false}, // two seconds, by its exp
		{nil, token(0, 2*time.Second), false},
		{token(0, time.Hour), token(time.Minute, time.Hour), true},
		{token(0, time.Hour), token(time.Minute, time.Hour+time.Second), true}, // equal after rounding
		{token(0, time.Hour), token(time.Minute, time.Hour+2*time.Second), false},
		{token(0, time.Hour), token(time.Second, time.Hour), false}, // two concurrent refreshes
		{token(0, time.Second), token(time.Minute, time.Hour), false},
	} {
		if e := noGain(tc.was, tc.t); (e != nil) != tc.want {
			t.Errorf("%v then %v: %v", tc.was, tc.t, e)
		}
	}
}

// The expiry of a repeated token does not cause a long pause: the pauses start
// again.
func TestNoGain_TokenExpires_PausesStartAgain(t *testing.T) {
	c := mustNew(t, newTenant().config())
	w, now := c.want(Request{}), time.Now()
	lives := &Token{Obtained: now, Expiry: now.Add(time.Hour)}
	for i, want := range []int{1, 2, 4, 8, 15, 15} {
		e := &Error{}
		if c.pauseAfterNoGain(w, lives, e); e.RetryAfter != time.Duration(want)*time.Minute {
			t.Errorf("pause %d is %v, want %d min", i+1, e.RetryAfter, want)
		}
	}
	e := &Error{}
	if c.pauseAfterNoGain(w, nil, e); e.RetryAfter != time.Minute {
		t.Errorf("then %v, want a minute", e.RetryAfter)
	}
}
