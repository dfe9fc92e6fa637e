package flow

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// credentialSources are the sources with a credential, by name.
func credentialSources(t testing.TB) map[string]Source {
	t.Helper()
	file := filepath.Join(t.TempDir(), "subject")
	write(t, file, "CANARY-subject\n")
	return map[string]Source{
		"token_exchange": Exchange{SubjectTokenType: "urn:acme:ci", SubjectTokenFile: file},
		"password":       Password{Username: "agent@example.com", Password: "CANARY-password", Realm: "staff"},
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newCredentialClient returns a client of s with a source that has a credential.
func (s *tenant) newCredentialClient(t testing.TB, source Source, change func(*Config)) *Client {
	t.Helper()
	cfg := s.config()
	cfg.Source, cfg.RedirectURL, cfg.Audience = source, "", "https://api.example.com/"
	if change != nil {
		change(&cfg)
	}
	return mustNew(t, cfg)
}

func TestCredentialGrant_Forms(t *testing.T) {
	for name, source := range map[string]Source{
		"token_exchange":      credentialSources(t)["token_exchange"],
		"password-realm":      credentialSources(t)["password"],
		"password":            Password{Username: "agent@example.com", Password: "p+w &="},
		"token_exchange-made": Exchange{SubjectTokenType: "urn:acme:ci", SubjectToken: func(context.Context) (Secret, error) { return "made", nil }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c := s.newCredentialClient(t, source, func(c *Config) { c.Scopes = []string{"openid", "offline_access", "read:calls"} })
				if _, err := c.Get(t.Context(), Request{}); err != nil {
					t.Fatal(err)
				}
				text := s.post(0).Encode() + "\n"
				if _, err := c.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				golden(t, "form-"+name+".golden", []byte(text+s.post(1).Encode()+"\n"))
			})
		})
	}
}

// Without a refresh token, each expiry is a new request with the current content
// of the file.
func TestCredentialGrant_NoRefreshToken_RequestsAtExpiry(t *testing.T) {
	sources := credentialSources(t)
	file := sources["token_exchange"].(Exchange).SubjectTokenFile
	for name, source := range sources {
		bubble(t, func(t *testing.T, s *tenant) {
			c := s.newCredentialClient(t, source, nil)
			defer running(t, c)()
			write(t, file, "second")
			time.Sleep(59 * time.Minute)
			if n := s.count(""); n != 2 || c.Cached(Request{}) == nil {
				t.Fatalf("%s: %d requests, %+v", name, n, c.Status())
			}
			if got := s.post(1).Get("subject_token"); name == "token_exchange" && got != "second" {
				t.Errorf("exchanged %q", got)
			}
			if st := c.Status(); st.State != StateReady || st.Generation != 2 || !st.LoggedIn.Equal(st.LastExchange) {
				t.Errorf("%s: %+v", name, st)
			}
			write(t, file, "CANARY-subject")
		})
	}
}

// A refresh token in the answer is used, rotated, and replaced when the provider
// has ended it, without an error for a caller.
func TestCredentialGrant_RefreshTokenIsUsed(t *testing.T) {
	for name, source := range credentialSources(t) {
		bubble(t, func(t *testing.T, s *tenant) {
			c := s.newCredentialClient(t, source, func(c *Config) { c.Scopes = []string{"openid", "offline_access"} })
			for range 3 {
				if _, err := c.Get(t.Context(), Request{}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
			}
			if s.count("refresh_token") != 2 || s.count("") != 3 || s.revoked != 0 {
				t.Fatalf("%s: %d refreshes of %d requests", name, s.count("refresh_token"), s.count(""))
			}
			if g := c.grant(); g.Rotation != RotationOn || g.Generation != 3 || g.Subject != "user|1" {
				t.Errorf("%s: %+v", name, g)
			}
			s.script(refuse(403, "invalid_grant"))
			tok, err := c.Get(t.Context(), Request{})
			if err != nil || s.count("refresh_token") != 3 || s.count("") != 5 || tok.Generation != 1 {
				t.Fatalf("%s: %v, %v; %d requests", name, tok, err, s.count(""))
			}
			if g := c.grant(); g.State != GrantActive || g.Refused != "" || g.Generation != 1 || g.RefreshToken == "" {
				t.Errorf("%s: %+v", name, g)
			}
			// If the provider ends each grant at once, a new one is requested
			// once a minute.
			for range 10 {
				s.script(refuse(403, "invalid_grant"))
				_, _ = c.Refresh(t.Context())
			}
			if n := s.count("") - s.count("refresh_token"); n != 2 {
				t.Errorf("%s: asked %d times within a minute", name, n)
			}
			time.Sleep(time.Minute)
			s.script()
			if _, err := c.Refresh(t.Context()); err != nil || c.Status().State != StateReady {
				t.Errorf("%s: after a minute: %v, %+v", name, err, c.Status())
			}
		})
	}
}

// A rejected credential is sent once: not again by Run, callers or a restart.
func TestCredentialGrant_RejectedCredential_IsSentOnce(t *testing.T) {
	for name, source := range credentialSources(t) {
		for code, class := range map[string]Class{
			"invalid_grant": ClassLoginRequired, "mfa_required": ClassLoginRequired, "invalid_user_password": ClassLoginRequired,
		} {
			bubble(t, func(t *testing.T, s *tenant) {
				store := NewMemoryStore()
				s.refuse(func(url.Values) string { return code })
				kept := func(c *Config) { c.Store = store }
				c := s.newCredentialClient(t, source, kept)
				stop := running(t, c)
				for range 24 {
					time.Sleep(time.Hour)
					_, err := c.Get(t.Context(), Request{})
					e := wantError(t, err, class, code)
					if e.Hint == "" || !strings.Contains(e.Error(), "no, says the tenant") {
						t.Fatalf("%s: %v", name, e)
					}
				}
				if st := c.Status(); s.count("") != 1 || st.State != StateLoginRequired || !st.LoggedIn.IsZero() || !st.NextRefresh.IsZero() {
					t.Fatalf("%s, %s: %d requests, %+v", name, code, s.count(""), st)
				}
				stop()

				again := s.newCredentialClient(t, source, kept) // a restart
				defer running(t, again)()
				time.Sleep(time.Hour)
				_, err := again.Get(t.Context(), Request{})
				wantError(t, err, class, code)
				if s.count("") != 1 {
					t.Fatalf("%s: %d requests after a restart", name, s.count(""))
				}
				_, err = again.LoginHeadless(t.Context()) // a login sends it once more
				wantError(t, err, class, code)
				if s.count("") != 2 {
					t.Fatalf("%s: %d requests after a login", name, s.count(""))
				}
				s.refuse(nil)
				if _, err := again.LoginHeadless(t.Context()); err != nil || again.Status().State != StateReady || again.Status().LoggedIn.IsZero() {
					t.Errorf("%s: %v, %+v", name, err, again.Status())
				}
			})
		}
	}
}

// Another password, scope or token is sent.
func TestCredentialGrant_ChangedCredential_IsSent(t *testing.T) {
	sources := credentialSources(t)
	x, p := sources["token_exchange"].(Exchange), sources["password"].(Password)
	other := p
	other.Password = "another"
	for name, tc := range map[string]struct {
		before, after Source
		change        func(*Config)
		file          bool
	}{
		"file":         {before: x, after: x, file: true},
		"type":         {before: x, after: Exchange{SubjectTokenType: "urn:acme:other", SubjectTokenFile: x.SubjectTokenFile}},
		"password":     {before: p, after: other},
		"username":     {before: p, after: Password{Username: "other", Password: p.Password}},
		"audience":     {before: p, after: p, change: func(c *Config) { c.Audience = "https://other.example.com/" }},
		"other scopes": {before: x, after: x, change: func(c *Config) { c.Scopes = []string{"read:calls"} }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				write(t, x.SubjectTokenFile, "first")
				store := NewMemoryStore()
				s.refuse(func(url.Values) string { return "invalid_grant" })
				c := s.newCredentialClient(t, tc.before, func(c *Config) { c.Store = store })
				_, err := c.Get(t.Context(), Request{})
				wantError(t, err, ClassLoginRequired, "")
				s.refuse(nil)
				if tc.file { // a running service notices it by itself
					defer running(t, c)()
					time.Sleep(time.Minute)
					if s.count("") != 1 {
						t.Fatal("the same token was sent again")
					}
					write(t, x.SubjectTokenFile, "rotated")
					time.Sleep(time.Minute)
				} else {
					c = s.newCredentialClient(t, tc.after, func(c *Config) {
						c.Store = store
						if tc.change != nil {
							tc.change(c)
						}
					})
					_, _ = c.Get(t.Context(), Request{})
				}
				if st := c.Status(); st.State != StateReady || s.count("") != 2 || c.grant().Refused != "" {
					t.Errorf("%+v, %d requests", st, s.count(""))
				}
			})
		})
	}
}

// A valid token is served until its expiry, even if the password is rejected.
func TestCredentialGrant_RejectedCredential_TokenIsStillServed(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.newCredentialClient(t, credentialSources(t)["password"], nil)
		if _, err := c.Get(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
		s.refuse(func(url.Values) string { return "invalid_grant" })
		_, err := c.Refresh(t.Context())
		wantError(t, err, ClassLoginRequired, "invalid_grant")
		if tok, err := c.Get(t.Context(), Request{}); err != nil || tok.AccessToken != "at-1" {
			t.Errorf("%v, %v", tok, err)
		}
		time.Sleep(time.Hour)
		_, err = c.Get(t.Context(), Request{})
		if wantError(t, err, ClassLoginRequired, ""); s.count("") != 2 {
			t.Errorf("%d requests", s.count(""))
		}
	})
}

// A failed manual login does not end a working grant.
func TestLoginHeadless_Fails_GrantIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.newCredentialClient(t, credentialSources(t)["password"], func(c *Config) { c.Scopes = []string{"offline_access"} })
		if _, err := c.Get(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
		s.refuse(func(url.Values) string { return "invalid_grant" })
		_, err := c.LoginHeadless(t.Context())
		wantError(t, err, ClassLoginRequired, "invalid_grant")
		if g, err := c.Refresh(t.Context()); err != nil || g.Generation != 2 || c.Status().State != StateReady {
			t.Errorf("%v, %v, %+v", g, err, c.Status())
		}
	})
}

// A blocked account, and an address with too many attempts.
func TestCredentialGrant_TooManyAttempts(t *testing.T) {
	sources := credentialSources(t)
	bubble(t, func(t *testing.T, s *tenant) {
		s.refuse(func(url.Values) string { return "too_many_attempts" })
		c := s.newCredentialClient(t, sources["password"], nil)
		defer running(t, c)()
		time.Sleep(24 * time.Hour)
		if st := c.Status(); s.count("") != 1 || st.State != StateLoginRequired {
			t.Errorf("%d requests, %+v", s.count(""), st)
		}
		_, err := c.Get(t.Context(), Request{})
		wantError(t, err, ClassLoginRequired, "unblock")
	})
	bubble(t, func(t *testing.T, s *tenant) {
		s.refuse(func(url.Values) string { return "too_many_attempts" })
		c := s.newCredentialClient(t, sources["token_exchange"], nil)
		defer running(t, c)()
		time.Sleep(time.Hour - time.Second)
		if n := s.count(""); n != 4 {
			t.Errorf("%d requests in an hour", n)
		}
		_, err := c.Get(t.Context(), Request{})
		wantError(t, err, ClassRateLimited, "")
		s.refuse(nil)
		time.Sleep(15 * time.Minute)
		if st := c.Status(); st.State != StateReady {
			t.Errorf("%+v", st)
		}
	})
}

// After a manual login was rejected, callers do not send the credential again.
func TestLoginHeadless_RejectedCredential_CallersDoNotRetry(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.refuse(func(url.Values) string { return "invalid_request" })
		c := s.newCredentialClient(t, credentialSources(t)["password"], nil)
		_, err := c.LoginHeadless(t.Context())
		wantError(t, err, ClassRequest, "")
		_, err = c.Get(t.Context(), Request{})
		if wantError(t, err, ClassRequest, ""); s.count("") != 1 {
			t.Errorf("%d requests", s.count(""))
		}
	})
}

// A rejected request, as opposed to a rejected credential, is repeated at most
// four times an hour.
func TestCredentialGrant_RejectedRequest_FourTimesAnHour(t *testing.T) {
	for name, source := range credentialSources(t) {
		bubble(t, func(t *testing.T, s *tenant) {
			s.refuse(func(f url.Values) string {
				if f.Get("audience") == "https://api.example.com/" {
					return "invalid_request"
				}
				return ""
			})
			c := s.newCredentialClient(t, source, nil)
			defer running(t, c)()
			for range 59 {
				time.Sleep(time.Minute)
				_, err := c.Get(t.Context(), Request{})
				wantError(t, err, ClassRequest, "invalid_request")
			}
			if n := s.count(""); n != 4 {
				t.Errorf("%s: %d requests in an hour", name, n)
			}
			_, err := c.LoginHeadless(t.Context()) // manually: at once, twice
			wantError(t, err, ClassRequest, "")
			_, err = c.LoginHeadless(t.Context())
			wantError(t, err, ClassRequest, "")
			if n := s.count(""); n != 6 {
				t.Errorf("%s: %d requests after two logins", name, n)
			}
			if _, err := c.Get(t.Context(), Request{Audience: "https://other.example.com/"}); err != nil {
				t.Errorf("%s: another audience: %v", name, err)
			}
			s.refuse(nil)
			if _, err := c.LoginHeadless(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Refresh(t.Context()); err != nil { // the rejection is cleared
				t.Errorf("%s: after a login: %v", name, err)
			}
		})
	}
}

// A rejected audience affects only requests for it.
func TestCredentialGrant_RejectedAudience_OthersWork(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.refuse(func(f url.Values) string {
			if f.Get("audience") == "https://other.example.com/" {
				return "access_denied"
			}
			return ""
		})
		c := s.newCredentialClient(t, credentialSources(t)["password"], nil)
		_, err := c.Get(t.Context(), Request{Audience: "https://other.example.com/"})
		wantError(t, err, ClassRequest, "access_denied")
		if _, err := c.Get(t.Context(), Request{}); err != nil || c.Status().State != StateReady {
			t.Errorf("%v, %+v", err, c.Status())
		}
	})
}

func TestExchange_SubjectTokenErrors(t *testing.T) {
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge")
	write(t, huge, strings.Repeat("x", maxSubject+1))
	empty := filepath.Join(dir, "empty")
	write(t, empty, " \n")
	text := filepath.Join(dir, "text")
	write(t, text, "two CANARY-words")
	made := func(v Secret, err error) Exchange {
		return Exchange{SubjectTokenType: "urn:x", SubjectToken: func(context.Context) (Secret, error) { return v, err }}
	}
	for name, tc := range map[string]struct {
		source Exchange
		class  Class
		part   string
	}{
		"absent":       {Exchange{SubjectTokenType: "urn:x", SubjectTokenFile: filepath.Join(dir, "absent")}, ClassConfig, "no such file"},
		"a folder":     {Exchange{SubjectTokenType: "urn:x", SubjectTokenFile: dir}, ClassConfig, "cannot be read"},
		"huge":         {Exchange{SubjectTokenType: "urn:x", SubjectTokenFile: huge}, ClassConfig, "larger than 64 KiB"},
		"empty":        {Exchange{SubjectTokenType: "urn:x", SubjectTokenFile: empty}, ClassConfig, "is empty"},
		"text":         {Exchange{SubjectTokenType: "urn:x", SubjectTokenFile: text}, ClassConfig, "does not contain a token"},
		"made nothing": {made("", nil), ClassConfig, "not a token"},
		"made text":    {made("CANARY words", nil), ClassConfig, "not a token"},
		"made error":   {made("", errors.New("no")), ClassUnreachable, "cannot get"},
		"made class":   {made("", &Error{Class: ClassTimeout}), ClassTimeout, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c := s.newCredentialClient(t, tc.source, nil)
				_, err := c.Get(t.Context(), Request{})
				e := wantError(t, err, tc.class, tc.part)
				file := tc.source.SubjectTokenFile != "" // read again at once
				if strings.Contains(e.Error(), "CANARY") || s.count("") != 0 || file != (e.RetryAfter == 0) || file != strings.Contains(e.Hint, "subject_token_file") {
					t.Errorf("%v; %d requests, again in %v", e, s.count(""), e.RetryAfter)
				}
			})
		})
	}
}
