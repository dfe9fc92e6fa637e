package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/tokend/pkg/tokend"
)

// answering makes every path of a service return this answer.
func answering(t *testing.T, status int, body string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	t.Setenv("TOKEND_ADDR", s.URL)
}

// The service's hint is printed as it is.
func TestHints(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		code   int
		hint   string
	}{
		{"login", 409, `{"error":"login_required","client":"demo","error_description":"x","hint":"tokend login demo"}`, 77, "tokend login demo"},
		{"rejected", 409, `{"error":"client_rejected","client":"demo","error_description":"x; hint: y","hint":"check client_id"}`, 77, "check client_id"},
		{"unavailable", 503, `{"error":"idp_unreachable","client":"demo","error_description":"x","hint":"try again"}`, 75, "try again"},
		{"audience", 400, `{"error":"invalid_request","error_description":"access_denied: Service not found: x","hint":"audience (--audience) …","provider_error":"access_denied"}`, 78, "audience (--audience) …"},
	} {
		t.Run(c.name, func(t *testing.T) {
			clean(t)
			answering(t, c.status, c.body)
			if o := runTokend(t, "token", "demo"); o.code != c.code || !strings.HasSuffix(o.stderr, "\nhint: "+c.hint+"\n") || strings.Count(o.stderr, "\n") != 2 {
				t.Errorf("exit %d: %s", o.code, o.stderr)
			}
		})
	}
}

// The hint says that a login without a person is retried.
func TestStatusHintOfALoginThatIsTriedAgain(t *testing.T) {
	clean(t)
	answering(t, 200, `{"clients":[{"client":"demo","state":"login_required","login":"headless","next_refresh":"2026-08-01T12:00:00Z"}]}`)
	if o := runTokend(t, "status"); !strings.HasSuffix(o.stdout, "\ndemo: tokend login demo; the service retries at 2026-08-01T12:00:00Z\n") {
		t.Error(o.stdout)
	}
}

// The hint for a setting is shown in every state, the hint for a login once.
func TestStatusHintsOfSettings(t *testing.T) {
	clean(t)
	answering(t, 200, `{"clients":[{"client":"demo","state":"unavailable","failure":{"class":"invalid_configuration","description":"x","hint":"set issuer to y"}}]}`)
	if o := runTokend(t, "status"); !strings.HasSuffix(o.stdout, "\ndemo: hint: set issuer to y\n") {
		t.Error(o.stdout)
	}
}

// The table of status has the same hints.
func TestStatusHints(t *testing.T) {
	for failure, want := range map[string]string{
		`null`: "demo: tokend login demo",
		`{"hint":"let the tenant answer, or log in","remedy":"browser"}`: "demo: let the tenant answer, or log in: tokend login demo --browser or --paste, or open http://t.test/a",
		`{"hint":"give a new refresh token","remedy":"setting"}`:         "demo: give a new refresh token",
	} {
		clean(t)
		answering(t, 200, `{"clients":[{"client":"demo","state":"login_required","login":"headless","authorize_url":"http://t.test/a","failure":`+failure+`}]}`)
		if o := runTokend(t, "status"); !strings.HasSuffix(o.stdout, "\n"+want+"\n") {
			t.Errorf("%s: %s", failure, o.stdout)
		}
	}
}

// A failed login is in the table, even if the client works without it.
func TestStatusShowsAFailedLogin(t *testing.T) {
	const failed = `"login_failure":{"time":"2026-08-01T12:00:00Z","class":"login_required","description":"access_denied: no`
	for client, want := range map[string]string{
		`"state":"ready","login":"browser",` + failed + `"}`:                                 "demo: hint: to try again: tokend login demo --browser or --paste",
		`"state":"ready","login":"browser",` + failed + `","hint":"allow the user"}`:         "demo: hint: allow the user",
		`"state":"degraded","login":"device",` + failed + `","hint":"log in once again"}`:    "demo: hint: log in once again",
		`"state":"login_required","login":"headless",` + failed + `","hint":"wait a while"}`: "demo: hint: wait a while\ndemo: tokend login demo",
	} {
		clean(t)
		answering(t, 200, `{"clients":[{"client":"demo",`+client+`}]}`)
		want = "\ndemo: the last login failed: login_required: access_denied: no (2026-08-01T12:00:00Z)\n" + want + "\n"
		if o := runTokend(t, "status"); !strings.HasSuffix(o.stdout, want) {
			t.Errorf("%s: %s", client, o.stdout)
		}
	}
}

// A client that needs a login has one hint, and no login that failed before the service
// tried again by itself.
func TestStatus_LoginRequired_OneHintOfTheLatestAttempt(t *testing.T) {
	const failed = `"login_failure":{"time":"2026-08-01T12:00:00Z","class":"idp_unreachable","description":"no answer"`
	for client, want := range map[string]string{
		failed + `}`: "demo: the last login failed: idp_unreachable: no answer (2026-08-01T12:00:00Z)\ndemo: tokend login demo\n",
		failed + `,"hint":"start it"},"failure":{"time":"2026-08-01T13:00:00Z","class":"login_required","description":"wrong password"}`: "demo: login_required: wrong password (2026-08-01T13:00:00Z)\ndemo: tokend login demo\n",
	} {
		clean(t)
		answering(t, 200, `{"clients":[{"client":"demo","state":"login_required","login":"headless",`+client+`}]}`)
		if o := runTokend(t, "status"); !strings.HasSuffix(o.stdout, "0\n"+want) {
			t.Errorf("%s: %s", client, o.stdout)
		}
	}
}

func TestHelpIsOfTheCommand(t *testing.T) {
	clean(t)
	for args, want := range map[string]string{
		"token demo --formt x":    "tokend token --help",
		"file sync --nonsense":    "tokend file --help",
		"config check --nonsense": "tokend config check --help",
		"--nonsense":              "tokend --help",
	} {
		if o := runTokend(t, strings.Fields(args)...); o.code != 64 || !strings.HasSuffix(o.stderr, "\nhint: "+want+"\n") {
			t.Errorf("%s: %+v", args, o)
		}
	}
}

func TestVersionFlag(t *testing.T) {
	clean(t)
	if flag, command := runTokend(t, "--version"), runTokend(t, "version"); flag != command || flag.stdout == "" {
		t.Errorf("%+v, not %+v", flag, command)
	}
}

func TestStatusOfNamed(t *testing.T) {
	clean(t)
	f := newTenant(t)
	f.configure(t, "TOKEND_CLIENTS=ci,demo", "TOKEND_CLIENT_CI_ISSUER="+f.URL+"/", "TOKEND_CLIENT_CI_CLIENT_ID=ci",
		"TOKEND_CLIENT_CI_CLIENT_SECRET="+canarySecret, "TOKEND_CLIENT_CI_GRANT=client_credentials")
	serve(t)
	if o := runTokend(t, "status", "ci"); o.code != 0 || !strings.Contains(o.stdout, "\nci ") || strings.Contains(o.stdout, "demo") {
		t.Errorf("%+v", o)
	}
	var all struct{ Clients []tokend.Status }
	o := runTokend(t, "status", "demo", "ci", "--format", "json")
	if err := json.Unmarshal([]byte(o.stdout), &all); err != nil || len(all.Clients) != 2 || all.Clients[0].Client != "demo" {
		t.Errorf("%v: %+v", err, o)
	}
	o = runTokend(t, "status", "dmo")
	if o.code != 66 || o.stdout != "" || o.stderr != "error: unknown_client: there is no client \"dmo\"\nhint: did you mean demo?\n" {
		t.Errorf("%+v", o)
	}
}

// reader is a terminal where a person presses Ctrl-C instead of answering.
type reader struct {
	interrupt context.CancelFunc
	end       chan struct{}
}

func (r reader) Read([]byte) (int, error) {
	r.interrupt()
	<-r.end
	return 0, errors.New("closed")
}

func TestInterruptedPaste(t *testing.T) {
	clean(t)
	newTenant(t).configure(t)
	serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan struct{})
	defer close(end)
	var out, stderr strings.Builder
	p := program{stdin: reader{cancel, end}, stdout: &out, stderr: &stderr}
	if code := p.run(ctx, []string{"login", "demo", "--paste"}); code != 77 ||
		!strings.HasSuffix(stderr.String(), "error: the login was not completed\nhint: run tokend login demo again\n") {
		t.Errorf("exit %d: %s", code, stderr.String())
	}
}

func TestMisspeltVariable(t *testing.T) {
	for name, want := range map[string]string{
		"TOKEND_CLIENT_DEMO_AUDIENC":   "did you mean TOKEND_CLIENT_DEMO_AUDIENCE? ",
		"TOKEND_CLIENT_DEMO_AUDIENCEE": "did you mean TOKEND_CLIENT_DEMO_AUDIENCE? ",
		"TOKEND_CLIENT_DEMO_SCOEPS":    "did you mean TOKEND_CLIENT_DEMO_SCOPES? ",
		"TOKEND_LISTAN":                "did you mean TOKEND_LISTEN? ",
		"TOKEND_NONSENSE":              "hint: unset it",
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			newTenant(t).configure(t, name+"=x")
			if o := runTokend(t, "config", "check"); o.code != 78 || !strings.Contains(o.stderr, want) || strings.Contains(o.stderr, "did you mean") != strings.HasPrefix(want, "did") {
				t.Errorf("%+v", o)
			}
		})
	}
}

// Another terminal than the service's has no configuration.
func TestDoctorElsewhere(t *testing.T) {
	p := newPlace(t)
	runs(t, p)
	for _, name := range tokendVariables() {
		if name != "TOKEND_LISTEN" {
			unset(t, name)
		}
	}
	o := tokendWith(t, p.program, "doctor")
	if o.code != 0 || !strings.Contains(o.stdout, "no client is configured here; the service at "+p.home) || !strings.Contains(o.stdout, "\nclient demo\n") {
		t.Errorf("%+v", o)
	}
	if o := tokendWith(t, p.program, "doctor", "demo"); o.code != 0 || !strings.Contains(o.stdout, "\nclient demo\n") {
		t.Errorf("%+v", o)
	}
	if o := tokendWith(t, p.program, "doctor", "missing"); o.code != 66 || !strings.Contains(o.stderr, "hint: the clients are demo\n") {
		t.Errorf("%+v", o)
	}
}

// A token that is valid too briefly because the provider is down is not reported as the
// token of a provider whose tokens do not live longer.
func TestTooShortSaysWhy(t *testing.T) {
	clean(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			_, _ = io.WriteString(w, `{"access_token":"x","token_type":"Bearer","expires_in":15,"expires_at":"2035-01-01T00:00:00Z","min_validity_satisfied":false}`)
			return
		}
		_, _ = io.WriteString(w, `{"client":"demo","state":"degraded","failure":{"class":"idp_timeout","description":"no answer in time"}}`)
	}))
	defer s.Close()
	t.Setenv("TOKEND_ADDR", s.URL)
	const says = "the token is valid for 15s, not for 50s, and the refresh failed: idp_timeout: no answer in time\n"
	if o := runTokend(t, "token", "demo", "--min-validity", "50s"); o.code != 0 || o.stdout != "x\n" || o.stderr != "warning: "+says {
		t.Errorf("%+v", o)
	}
	if o := runTokend(t, "token", "demo", "--format", "external", "--min-validity", "50s"); o.code != exitTryAgain || o.stdout != "" || o.stderr != "error: "+says+"hint: try again\n" {
		t.Errorf("%+v", o)
	}
}
