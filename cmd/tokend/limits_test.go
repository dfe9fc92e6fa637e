package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/tokend/pkg/tokend"
)

// tried runs waited with the given failures in turn, then success, and returns
// when each try was made.
func tried(ctx context.Context, failures ...error) (at []time.Duration, err error) {
	start := time.Now()
	_, err = waited(ctx, passing, func() (string, error) {
		at = append(at, time.Since(start).Round(time.Millisecond))
		if len(at) > len(failures) {
			return "ok", nil
		}
		return "", failures[len(at)-1]
	})
	return at, err
}

func TestWaited(t *testing.T) {
	down, busy := exitf(exitUnavailable, "down"), &exitError{code: exitTryAgain, err: errors.New("busy"), retryAfter: 7 * time.Second}
	login := exitf(exitNoPerm, "login")
	waiting := func(d time.Duration) context.Context { return context.WithValue(context.Background(), waitLimit{}, d) }
	for _, c := range []struct {
		name     string
		ctx      context.Context
		failures []error
		at       string // of the tries
		err      string
		code     int
	}{
		{"at once", waiting(time.Minute), nil, "[0s]", "", 0},
		{"without --wait", context.Background(), []error{down}, "[0s]", "down", 69},
		{"back-off", waiting(time.Minute), []error{down, down, down, down, down, down, down}, "[0s 100ms 300ms 700ms 1.5s 3.1s 5.1s 7.1s]", "", 0},
		{"Retry-After", waiting(time.Minute), []error{busy, down}, "[0s 7s 7.2s]", "", 0},
		{"not what passes", waiting(time.Minute), []error{login}, "[0s]", "login", 77},
		{"then not what passes", waiting(time.Minute), []error{down, login}, "[0s 100ms]", "login", 77},
		{"without success", waiting(time.Second), []error{down, down, down, down, down}, "[0s 100ms 300ms 700ms]", "waited 1s: down", 69},
		{"shorter than Retry-After", waiting(5 * time.Second), []error{busy}, "[0s]", "busy", 75},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at, err := tried(c.ctx, c.failures...)
				text := ""
				if err != nil {
					text = err.Error()
				}
				if fmt.Sprint(at) != c.at || text != c.err || exitCode(err) != c.code {
					t.Errorf("tried at %v, want %s; error %q with exit code %d, want %q with %d", at, c.at, text, exitCode(err), c.err, c.code)
				}
			})
		})
	}
}

func TestWaitedEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.WithValue(context.Background(), waitLimit{}, time.Minute))
		time.AfterFunc(5*time.Second, cancel)
		start := time.Now()
		_, err := waited(ctx, passing, func() (int, error) { return 0, exitf(exitUnavailable, "down") })
		if !errors.Is(err, context.Canceled) || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

// The service says how soon trying again helps.
func TestRetryAfterOfAnAnswer(t *testing.T) {
	err := exitFrom(&tokend.Error{Status: 503, Code: "idp_rate_limited", Description: "busy", RetryAfter: 7 * time.Second})
	if got := retryAfter(err); got != 7*time.Second || !passing(err) {
		t.Errorf("%v: %s", err, got)
	}
}

// waits runs a program with --wait, which does not end before the thing that it waits
// for exists.
func waits(t *testing.T, args ...string) func() output {
	t.Helper()
	done := make(chan output, 1)
	go func() { done <- tokendWith(t, in(""), append(args, "--wait", "--timeout", "20s")...) }()
	return func() output { return <-done }
}

// --wait: the service is not there yet, nor the key file that it makes.
func TestWaitForTheService(t *testing.T) {
	for _, key := range []string{"", "TOKEND_API_KEY_FILE"} {
		t.Run(key, func(t *testing.T) {
			home := clean(t)
			newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_SOCKET=off")
			if key != "" {
				t.Setenv(key, filepath.Join(home, "made", "api.key"))
			}
			addr := strings.TrimPrefix(refused(t), "http://")
			setenv(t, "TOKEND_ADDR=http://"+addr)
			token, health := waits(t, "token", "demo"), waits(t, "healthcheck")
			serveAt(t, addr)
			if o := token(); o != (output{stdout: canaryToken + "\n"}) {
				t.Errorf("token: %+v", o)
			}
			if o := health(); o != (output{stdout: "ok\n"}) {
				t.Errorf("healthcheck: %+v", o)
			}
		})
	}
}

// --wait: the provider is down at first.
func TestWaitForTheProvider(t *testing.T) {
	clean(t)
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := asked.Add(1); n < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"error":"idp_unreachable","error_description":"down"}`)
			return
		}
		fmt.Fprintf(w, `{"access_token":%q,"min_validity_satisfied":true}`, canaryToken)
	}))
	defer s.Close()
	t.Setenv("TOKEND_ADDR", s.URL)
	if o := runTokend(t, "token", "demo"); o.code != 75 || asked.Load() != 1 {
		t.Errorf("without --wait: %+v after %d requests", o, asked.Load())
	}
	if o := waits(t, "token", "demo")(); o != (output{stdout: canaryToken + "\n"}) || asked.Load() != 3 {
		t.Errorf("with --wait: %+v after %d requests", o, asked.Load())
	}
	// A code works once: it is never sent again.
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet { // how the client logs in
			fmt.Fprint(w, `{"client":"demo","login":"paste"}`)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/login") {
			fmt.Fprint(w, `{"authorize_url":"http://localhost/authorize","state":"s","expires_in":60}`)
			return
		}
		asked.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"error":"idp_timeout","error_description":"slow"}`)
	})
	asked.Store(0)
	if o := tokendWith(t, in("code\n"), "login", "demo", "--paste", "--wait"); o.code != 75 || asked.Load() != 1 {
		t.Errorf("a code: %+v, sent %d times", o, asked.Load())
	}
}

func TestWaitInVain(t *testing.T) {
	clean(t)
	setenv(t, "TOKEND_ADDR="+refused(t))
	o := runTokend(t, "token", "demo", "--wait", "--timeout", "250ms")
	if o.code != 69 || o.stdout != "" || !strings.HasPrefix(o.stderr, "error: waited 250ms: tokend does not answer: ") || !strings.Contains(o.stderr, "\nhint: start it") {
		t.Errorf("%+v", o)
	}
	t.Setenv("TOKEND_API_KEY_FILE", "/nonexistent/key")
	o = runTokend(t, "token", "demo", "--wait", "--timeout", "250ms")
	if o.code != 78 || o.stdout != "" || !strings.Contains(o.stderr, "cannot read key file /nonexistent/key") {
		t.Errorf("no key file: %+v", o)
	}
}

// --timeout bounds the command, whatever it waits for.
func TestTimeout(t *testing.T) {
	clean(t)
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/login"):
			fmt.Fprint(w, `{"authorize_url":"http://localhost/authorize","state":"s","expires_in":600}`)
		case strings.HasSuffix(r.URL.Path, "/token"):
			<-hang
		default:
			fmt.Fprint(w, `{"client":"demo"}`)
		}
	}))
	defer s.Close()
	defer close(hang)
	t.Setenv("TOKEND_ADDR", s.URL)
	silent, writer := io.Pipe() // nothing comes, and it does not end
	defer func() { _ = writer.Close() }()
	ignored := func(context.Context, string) error { return nil }
	want := "error: the command took longer than --timeout 50ms\nhint: try again, or give it more time\n"
	for _, args := range []string{
		"token demo", "login demo --browser --no-input=false", "login demo --paste", "token --format external",
		"token demo --format git-credential", "token demo --wait",
	} {
		p := program{stdin: silent, openURL: ignored}
		o := tokendWith(t, p, append(strings.Fields(args), "--timeout", "50ms")...)
		if o.code != 75 || o.stdout != "" || !strings.HasSuffix(o.stderr, want) {
			t.Errorf("%s: %+v", args, o)
		}
	}
	o := tokendWith(t, program{stdin: silent, name: "docker-credential-tokend"}, "get", "--timeout", "50ms")
	if o.code != 1 || o.stderr != "" || "error: "+o.stdout != want {
		t.Errorf("docker: %+v", o)
	}
	o = runTokend(t, "token", "demo", "--format", "gcp-executable", "--timeout", "50ms")
	if o.code != 0 || !strings.Contains(o.stdout, `"code":"75"`) || !strings.Contains(o.stdout, `"success":false`) {
		t.Errorf("gcp: %+v", o)
	}
	if o := runTokend(t, "token", "demo", "--timeout", "-1s"); o.code != 64 {
		t.Errorf("negative: %+v", o)
	}
}

// Without a person, nothing is asked and no page is opened.
func TestNoInput(t *testing.T) {
	clean(t)
	newTenant(t).configure(t)
	serve(t)
	opened := false
	p := func() program {
		return program{stdin: strings.NewReader("http://localhost/callback?code=c&state=s\n"), openURL: func(context.Context, string) error {
			opened = true
			return errors.New("no")
		}}
	}
	for _, c := range []struct{ ci, args string }{
		{"", "login demo --browser --no-input"},
		{"", "login demo --paste --no-input"},
		{"true", "login demo --browser"},
		{"1", "login demo --paste"},
	} {
		t.Setenv("CI", c.ci)
		o := tokendWith(t, p(), strings.Fields(c.args)...)
		if o.code != 77 || o.stdout != "" || !strings.HasPrefix(o.stderr, "error: client demo needs a person") || !strings.Contains(o.stderr, "\nhint: open http://127.0.0.1:") || opened {
			t.Errorf("CI=%s %s: %+v, opened %v", c.ci, c.args, o, opened)
		}
	}
	for _, ci := range []string{"", "false", "yes", "true"} {
		t.Setenv("CI", ci)
		if o := tokendWith(t, p(), "login", "demo", "--paste", "--no-input=false"); o.code != 77 || !strings.Contains(o.stderr, "invalid_state") {
			t.Errorf("CI=%s: %+v", ci, o)
		}
	}
	t.Setenv("CI", "false")
	if o := tokendWith(t, p(), "login", "demo", "--paste"); !strings.Contains(o.stderr, "invalid_state") {
		t.Errorf("%+v", o)
	}
}

// A terminal is not read where a program is expected.
func TestTerminalIsNotRead(t *testing.T) {
	clean(t)
	newStub(t)
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0) // without a person at its other end
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = terminal.Close() }()
	if o := tokendWith(t, program{stdin: terminal}, "token", "demo", "--format", "external", "--timeout", "2s"); o.code != 0 {
		t.Errorf("%+v", o)
	}
}
