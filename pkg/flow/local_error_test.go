package flow

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// An unreadable file does not delay callers: once the file is readable, the next
// request reads it. Run reads it with growing pauses. The error names the
// setting.
func TestUnreadableFile_IsReadAgainAtOnce(t *testing.T) {
	for name, setting := range map[string]string{
		"client secret": "client_secret_file", "its own hint": "chmod 600 /run/x (client_secret_file)", "assertion": "client_assertion_file",
		"subject token": "subject_token_file", "headless login": "client_secret_file", "client credentials": "client_secret_file",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "file")
			bubble(t, func(t *testing.T, s *tenant) {
				var reads atomic.Int64
				cfg := s.config()
				cfg.Store = NewMemoryStore()
				cfg.ClientSecret = ""
				cfg.ClientSecretFrom = func(context.Context) (Secret, error) {
					reads.Add(1)
					b, err := os.ReadFile(file)
					if err != nil && name == "its own hint" {
						err = hintedError{errors.New("secret file /run/x is open to everyone"), "chmod 600 /run/x"}
					}
					return Secret(b), err
				}
				switch name {
				case "assertion":
					from := TokenFile(file)
					cfg.ClientSecretFrom, cfg.AssertionFrom = nil, func(ctx context.Context) (Secret, error) { reads.Add(1); return from(ctx) }
				case "subject token":
					cfg.ClientSecretFrom, cfg.ClientSecret = nil, "CANARY-secret"
					cfg.Source, cfg.RedirectURL, cfg.Scopes = Exchange{SubjectTokenType: "urn:x", SubjectTokenFile: file}, "", []string{"openid"}
				case "client credentials":
					cfg.Source, cfg.RedirectURL = ClientCredentials{}, ""
				}
				c := mustNew(t, cfg)
				if name != "headless login" {
					write(t, file, "CANARY-one")
					if _, err := c.LoginHeadless(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				_ = os.Remove(file)
				time.Sleep(2 * time.Hour)
				before, _ := cfg.Store.Load(t.Context(), demoKey)
				stop := running(t, c)
				posts, authorized := s.count(""), s.called("/authorize")
				reads.Store(0)
				time.Sleep(time.Hour)
				if n := reads.Load(); name != "subject token" && (n < 60 || n > 500) {
					t.Errorf("read %d times in an hour", n)
				}
				for range 3 {
					_, err := c.Get(t.Context(), Request{})
					if e := wantError(t, err, ClassConfig, ""); !strings.Contains(e.Hint, setting) || strings.Count(e.Error(), "hint: ") != 1 || e.RetryAfter != 0 {
						t.Fatalf("got %v, again in %v", e, e.RetryAfter)
					}
				}
				if st := c.Status(); st.State != StateUnavailable || !strings.Contains(st.Failure.Hint, setting) {
					t.Errorf("%+v", st)
				}
				if s.count("") != posts || s.called("/authorize") != authorized {
					t.Errorf("something was sent")
				}
				if g, err := cfg.Store.Load(t.Context(), demoKey); name != "headless login" && (err != nil || g.Intent != nil || g.State != GrantActive || g.Revision > before.Revision+1) { // one write, for the event
					t.Errorf("stored %+v, %v", g, err)
				}
				write(t, file, "CANARY-two")
				if _, err := c.Get(t.Context(), Request{}); err != nil {
					t.Errorf("the file is there again: %v", err)
				}
				stop()
			})
		})
	}
}

// Errors of a revocation and a code exchange name the setting, too.
func TestUnreadableFile_OtherRequests(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		var fail error
		c := s.loggedIn(t, func(c *Config) {
			c.ClientSecret = ""
			c.ClientSecretFrom = func(context.Context) (Secret, error) { return "CANARY-secret", fail }
		})
		l, err := c.Login(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fail = errors.New("gone")
		_, err = c.Finish(t.Context(), l, url.Values{"code": {"CANARY-code"}, "state": {l.State}})
		wantError(t, err, ClassConfig, "exchange: invalid_configuration: cannot read the client secret: gone\nhint: client_secret_file")
		err = c.Forget(t.Context())
		wantError(t, err, ClassConfig, "client_secret_file")
		if g, err := c.cfg.Store.Load(t.Context(), demoKey); err != nil || g.State != GrantActive {
			t.Errorf("the grant is not kept: %v, %v", g, err)
		}
	})
}

// An assertion that is not a token is not sent, and the error says whether the
// file or its content is wrong.
func TestClientAssertion_NotUsable(t *testing.T) {
	for name, tt := range map[string]struct {
		assertion Secret
		err       error
		want      string
	}{
		"unreadable": {"", errors.New("permission denied"), "cannot read the client assertion: permission denied"},
		"empty":      {"", nil, "the client assertion is not a token"},
		"two words":  {"CANARY CANARY", nil, "the client assertion is not a token"},
		"two lines":  {"CANARY\nCANARY", nil, "the client assertion is not a token"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				cfg := s.config()
				cfg.Source, cfg.RedirectURL, cfg.ClientSecret = ClientCredentials{}, "", ""
				cfg.AssertionFrom = func(context.Context) (Secret, error) { return tt.assertion, tt.err }
				_, err := mustNew(t, cfg).Get(t.Context(), Request{})
				if e := wantError(t, err, ClassConfig, tt.want); strings.Contains(e.Error(), "CANARY") {
					t.Errorf("%v", e)
				}
				if n := s.count(""); n != 0 {
					t.Errorf("%d requests were sent", n)
				}
			})
		})
	}
}
