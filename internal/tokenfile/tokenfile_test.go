package tokenfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"example.com/tokend/pkg/flow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tap is a source whose tokens live for life: it returns the current one while that is
// valid for long enough, else a new one.
type tap struct {
	mu      sync.Mutex
	life    time.Duration
	slow    time.Duration // how long it takes to have another
	ageless bool          // does not tell when a token was obtained
	token   *flow.Token
	made    int
	asked   int
	ends    map[string]time.Time // of every token
	err     error
	secret  func(n int) string // nil: canary-token-N
}

func (s *tap) Name() string { return "demo" }

func (s *tap) Get(ctx context.Context, r flow.Request) (*flow.Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	now := time.Now()
	if s.token != nil && s.token.Remaining(now) >= min(r.MinValidity, s.life*9/10) && s.token.Remaining(now) > 0 {
		return s.token, nil
	}
	if s.err != nil {
		if s.token != nil && s.token.Remaining(now) > 0 {
			return s.token, nil
		}
		return nil, s.err
	}
	s.mu.Unlock()
	time.Sleep(s.slow)
	s.mu.Lock()
	s.renew(now) // a token's time counts from before it was asked for
	return s.token, nil
}

func (s *tap) renew(now time.Time) {
	s.made++
	secret := fmt.Sprintf("canary-token-%d", s.made)
	if s.secret != nil {
		secret = s.secret(s.made)
	}
	if s.ends == nil {
		s.ends = map[string]time.Time{}
	}
	s.ends[secret] = now.Add(s.life)
	s.token = &flow.Token{AccessToken: flow.Secret(secret), TokenType: "Bearer", Scope: "read:calls", Obtained: now, Expiry: now.Add(s.life)}
	if s.ageless {
		s.token.Obtained = time.Time{}
	}
}

// now returns the newest token, the number of tokens and the number of requests.
func (s *tap) now() (t *flow.Token, made, asked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token, s.made, s.asked
}

// until returns when a token expires; zero if it is not a token.
func (s *tap) until(token string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ends[token]
}

func (s *tap) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *tap) force() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renew(time.Now())
}

func place(t *testing.T) string { return filepath.Join(t.TempDir(), "d", "token") }

func mustNew(t *testing.T, c Config, s Source) *File {
	t.Helper()
	f, err := New(c, s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFormats(t *testing.T) {
	at := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	for format, want := range map[string]string{
		"":       "abc.DEF_-~+/=",
		"text":   "abc.DEF_-~+/=",
		"header": "Authorization: Bearer abc.DEF_-~+/=",
		"json":   `{"access_token":"abc.DEF_-~+/=","token_type":"Bearer","expires_at":"2030-01-02T12:00:00Z","scope":"read:calls","client":"demo"}`,
		"env":    "A=abc.DEF_-~+/=\nA_EXPIRES_AT=2030-01-02T12:00:00Z\nB=abc.DEF_-~+/=\nB_EXPIRES_AT=2030-01-02T12:00:00Z\n",
	} {
		s := &tap{token: &flow.Token{AccessToken: "abc.DEF_-~+/=", TokenType: "Bearer", Scope: "read:calls", Expiry: at}}
		path := place(t)
		f := mustNew(t, Config{Path: path, Format: format, Variables: []string{"A", "B"}, Now: func() time.Time { return at.Add(-time.Hour) }}, fixed{s})
		if err := f.Once(t.Context()); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		if got := read(t, path); got != want {
			t.Errorf("%s: %q", format, got)
		}
		fi, err := os.Stat(path)
		if err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", format, fi, err)
		}
		if fi, err = os.Stat(filepath.Dir(path)); err != nil || fi.Mode().Perm() != 0o700 {
			t.Errorf("its directory: %v %v", fi, err)
		}
	}
}

// fixed always returns the tap's token.
type fixed struct{ *tap }

func (s fixed) Get(context.Context, flow.Request) (*flow.Token, error) { return s.token, nil }

func TestTokensThatNoFileCarries(t *testing.T) {
	for _, c := range []struct{ format, token string }{
		{"text", ""},
		{"text", "canary\ntoken"},
		{"header", "canary\r\nX-Evil: 1"},
		{"json", "canary\x00"},
		{"text", "canary\u00e9"},
		{"env", "canary$(id)"},
		{"env", "canary'"},
	} {
		path := place(t)
		s := &tap{life: time.Hour, secret: func(int) string { return c.token }}
		f := mustNew(t, Config{Path: path, Format: c.format, Variables: []string{"A"}}, s)
		err := f.Once(t.Context())
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s %q: %v", c.format, c.token, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s %q was written", c.format, c.token)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Path: "/run/token"}
	for want, change := range map[string]func(*Config){
		"path":         func(c *Config) { c.Path = "token" },
		"/run/../a":    func(c *Config) { c.Path = "/run/../a" },
		"format":       func(c *Config) { c.Format = "xml" },
		"mode 0644":    func(c *Config) { c.Mode = 0o644 },
		"mode 0700":    func(c *Config) { c.Mode = 0o700 },
		"mode 0200":    func(c *Config) { c.Mode = 0o200 },
		"min_validity": func(c *Config) { c.MinValidity = -1 },
		"variable":     func(c *Config) { c.Format = "env" },
	} {
		c := good
		change(&c)
		if _, err := New(c, &tap{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := New(good, &tap{}); err != nil {
		t.Error(err)
	}
}

// A path that others could change, or that is not a regular file, is refused and not
// changed.
func TestPlacesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, dir string)
		want string
	}{
		"group can write": {func(t *testing.T, dir string) { chmod(t, dir, 0o770) }, "can be written by others (mode 0770)"},
		"all can write":   {func(t *testing.T, dir string) { chmod(t, dir, 0o777) }, "can be written by others (mode 0777)"},
		"symbolic link": {func(t *testing.T, dir string) {
			link(t, filepath.Join(dir, "..", "other"), filepath.Join(dir, "token"))
		}, "is a symbolic link"},
		"dangling link":    {func(t *testing.T, dir string) { link(t, "/nonexistent/x", filepath.Join(dir, "token")) }, "is a symbolic link"},
		"directory":        {func(t *testing.T, dir string) { mkdir(t, filepath.Join(dir, "token")) }, "is not a regular file"},
		"file for its dir": {func(t *testing.T, dir string) { _ = os.Remove(dir); put(t, dir, "x") }, "is not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "d")
			mkdir(t, dir)
			put(t, filepath.Join(root, "other"), "kept")
			c.make(t, dir)
			f := mustNew(t, Config{Path: filepath.Join(dir, "token")}, &tap{life: time.Hour})
			err := f.Once(t.Context())
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v", err)
			}
			if f.Status().Failure == "" || !f.Status().Written.IsZero() {
				t.Errorf("status %+v", f.Status())
			}
			if got := read(t, filepath.Join(root, "other")); got != "kept" {
				t.Errorf("the link's target is now %q", got)
			}
		})
	}
	sticky := t.TempDir()
	if err := os.Chmod(sticky, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if err := mustNew(t, Config{Path: filepath.Join(sticky, "token")}, &tap{life: time.Hour}).Once(t.Context()); err != nil {
		t.Errorf("a sticky directory, as /tmp: %v", err)
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, m os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, m); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The file's token is always valid for min_validity, although a refresh takes a while, and
// no unnecessary requests are made.
func TestKeptFresh(t *testing.T) {
	for _, c := range []struct {
		life, min, slow, step, run time.Duration
		most                       int // tokens
	}{
		{time.Hour, 0, 7 * time.Second, 5 * time.Second, 5 * time.Hour, 6},
		{time.Hour, 30 * time.Minute, 7 * time.Second, 5 * time.Second, 5 * time.Hour, 11},
		{10 * time.Second, 0, 300 * time.Millisecond, 250 * time.Millisecond, time.Minute, 8},
		{4 * time.Second, time.Second, 100 * time.Millisecond, 80 * time.Millisecond, time.Minute, 26},
	} {
		t.Run(fmt.Sprint(c.life, " ", c.min), func(t *testing.T) {
			path := place(t)
			synctest.Test(t, func(t *testing.T) {
				s := &tap{life: c.life, slow: c.slow}
				f := mustNew(t, Config{Path: path, MinValidity: c.min}, s)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go f.Run(ctx)
				time.Sleep(c.slow)
				for range c.run / c.step {
					synctest.Wait()
					if left := time.Until(s.until(read(t, path))); left < c.min || left <= 0 {
						t.Fatalf("its token is valid for %s", left)
					}
					time.Sleep(c.step)
				}
				cancel()
				synctest.Wait()
				if _, made, _ := s.now(); made > c.most || made < int(c.run/c.life) {
					t.Errorf("%d tokens were made", made)
				}
				if f.Status().Failure != "" {
					t.Errorf("status %+v", f.Status())
				}
			})
			if read(t, path) == "" {
				t.Error("the file is gone after the end")
			}
		})
	}
}

// A source that does not say when a token was obtained may return an old one: its validity
// is not the lifetime of the provider's tokens.
func TestOldTokenOfUnknownAge(t *testing.T) {
	path := place(t)
	synctest.Test(t, func(t *testing.T) {
		s := &tap{life: time.Hour, ageless: true}
		s.force()
		time.Sleep(51 * time.Minute)
		f := mustNew(t, Config{Path: path, MinValidity: 8*time.Minute + 30*time.Second}, s)
		ctx, cancel := context.WithCancel(t.Context())
		go f.Run(ctx)
		for range 100 {
			synctest.Wait()
			if left := time.Until(s.until(read(t, path))); left < 8*time.Minute+30*time.Second {
				t.Fatalf("valid for %s", left)
			}
			time.Sleep(5 * time.Second)
		}
		cancel()
		synctest.Wait()
	})
}

// A min_validity that the provider cannot satisfy is reported, and does not cause a refresh
// at every check.
func TestMinValidityBeyondTheProvider(t *testing.T) {
	path := place(t)
	synctest.Test(t, func(t *testing.T) {
		s := &tap{life: 10 * time.Minute}
		f := mustNew(t, Config{Path: path, MinValidity: time.Hour}, s)
		ctx, cancel := context.WithCancel(t.Context())
		go f.Run(ctx)
		for range 200 {
			time.Sleep(time.Minute)
			synctest.Wait()
			token, _, _ := s.now()
			if left := token.Remaining(time.Now()); left < 4*time.Minute+50*time.Second {
				t.Fatalf("valid for %s of half its life", left)
			}
		}
		if !strings.Contains(f.Status().Failure, "less than min_validity 1h0m0s") {
			t.Errorf("status %+v", f.Status())
		}
		if _, made, _ := s.now(); made > 42 {
			t.Errorf("%d tokens in 200 minutes", made)
		}
		cancel()
		synctest.Wait()
	})
}

// Wake writes a new token at once, and Run restores a file that was changed or
// removed.
func TestWakeAndRestore(t *testing.T) {
	path := place(t)
	synctest.Test(t, func(t *testing.T) {
		s := &tap{life: time.Hour}
		f := mustNew(t, Config{Path: path, Mode: 0o640}, s)
		ctx, cancel := context.WithCancel(t.Context())
		go f.Run(ctx)
		synctest.Wait()
		began := time.Now()
		s.force()
		f.Wake()
		synctest.Wait()
		if read(t, path) != "canary-token-2" || !time.Now().Equal(began) {
			t.Errorf("after Wake: %q", read(t, path))
		}
		for what, harm := range map[string]func(){
			"removed":   func() { _ = os.Remove(path) },
			"truncated": func() { _ = os.Truncate(path, 3) },
			"opened":    func() { chmod(t, path, 0o666) },
			"dir gone":  func() { _ = os.RemoveAll(filepath.Dir(path)) },
		} {
			harm()
			time.Sleep(poll)
			synctest.Wait()
			fi, err := os.Stat(path)
			if err != nil || read(t, path) != "canary-token-2" || fi.Mode().Perm() != 0o640 {
				t.Errorf("%s: %v %v", what, fi, err)
			}
		}
		cancel()
		synctest.Wait()
	})
}

// Failures do not end Run: they are shown, logged once each, and retried.
func TestFailuresAreRetried(t *testing.T) {
	path := place(t)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &tap{life: time.Hour, err: errors.New("idp_unreachable")}
		f := mustNew(t, Config{Path: path, Log: slog.New(slog.NewTextHandler(&log, nil))}, s)
		ctx, cancel := context.WithCancel(t.Context())
		go f.Run(ctx)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if _, _, asked := s.now(); f.Status().Failure != "idp_unreachable" || asked > 16 || asked < 8 {
			t.Errorf("asked %d times; %+v", asked, f.Status())
		}
		s.fail(nil)
		time.Sleep(maxWait)
		synctest.Wait()
		if f.Status().Failure != "" || read(t, path) != "canary-token-1" {
			t.Errorf("after the provider is back: %+v", f.Status())
		}
		if err := os.RemoveAll(filepath.Dir(filepath.Dir(path))); err != nil { // nothing to make it in
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !strings.Contains(f.Status().Failure, "no such file or directory") {
			t.Errorf("without its directory: %+v", f.Status())
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(maxWait)
		synctest.Wait()
		if f.Status().Failure != "" || read(t, path) != "canary-token-1" {
			t.Errorf("with its directory again: %+v", f.Status())
		}
		cancel()
		synctest.Wait()
		if n := strings.Count(log.String(), "level=WARN"); n != 2 || strings.Contains(log.String(), "canary") {
			t.Errorf("%d warnings:\n%s", n, log.String())
		}
	})
}
