package main

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/doctor"
	"example.com/tokend/internal/terminal"
	"example.com/tokend/pkg/flow"
)

// ill is a place where much is wrong at once.
func ill(t *testing.T) *place {
	p := newPlace(t)
	answersOnly(`"state":"login_required","rotation":"on"`)(t, p)
	setenv(t, "TOKEND_CLIENT_DEMO_ISSUER="+p.tenant.URL, "TOKEND_CLIENT_DEMO_REDIRECT_URI=http://localhost:8484/cb", "http_proxy=http://proxy.example:3128")
	p.page = "Callback URL mismatch"
	return p
}

// steady takes out what differs from run to run.
func steady(p *place, text string) string {
	for old, with := range map[string]string{
		p.home: "/home/agent", p.tenant.URL: "http://127.0.0.1:1000", os.Getenv("TOKEND_ADDR"): "http://127.0.0.1:1001",
	} {
		text = strings.ReplaceAll(text, old, with)
	}
	_, listen, _ := strings.Cut(os.Getenv("TOKEND_LISTEN"), ":")
	text = regexp.MustCompile(`\b`+listen+`\b`).ReplaceAllString(text, "1002")
	if v := buildVersion(); v != "" {
		text = strings.ReplaceAll(text, v, "VERSION")
	}
	return text
}

func TestDoctorGolden(t *testing.T) {
	p := ill(t)
	for _, format := range []string{"json", "table"} {
		o := tokendWith(t, p.program, "doctor", "--format", format)
		golden(t, "doctor."+format, steady(p, o.stdout))
		if o.code != 78 || o.stderr != "" {
			t.Errorf("%s: exit %d, stderr %q", format, o.code, o.stderr)
		}
	}
}

func TestDoctorQuiet_PrintsProblemsAndWarningsOnly(t *testing.T) {
	p := newPlace(t)
	runs(t, p)
	for _, format := range []string{"table", "json"} {
		o := tokendWith(t, p.program, "doctor", "-q", "--format", format)
		want := map[string]string{"table": "", "json": `{"problems":0,"warnings":0,"findings":[]}` + "\n"}[format]
		if o.code != 0 || o.stdout != want || o.stderr != "" {
			t.Errorf("all is well, %s: %+v", format, o)
		}
	}
	setenv(t, "XDG_CONFIG_HOME=relative", "TOKEND_CLIENT_DEMO_SCOPES=openid")
	p.tenant.Close()
	o := tokendWith(t, p.program, "doctor", "--quiet")
	if o.code != 75 || !strings.Contains(o.stdout, "\n  problem  discovery ") || !strings.Contains(o.stdout, "\n  warning  directories ") ||
		strings.Contains(o.stdout, "  ok  ") || strings.Contains(o.stdout, "  skipped  ") || !strings.HasSuffix(o.stdout, "\n1 problem, 1 warning\n") {
		t.Errorf("%+v", o)
	}
}

// The API key of the service may be in the configuration file only.
func TestDoctor_KeyFileOfTheConfigurationFile(t *testing.T) {
	p := newPlace(t)
	s := p.service(t, buildVersion(), `{"client":"demo","state":"ready"}`)
	unset(t, "TOKEND_ADDR")
	unset(t, "TOKEND_API_KEY")
	unset(t, "TOKEND_LISTEN")
	key := write(t, filepath.Join(p.home, "the.key"), canaryKey, 0o600)
	setenv(t, "TOKEND_CONFIG="+write(t, filepath.Join(p.home, "tokend.yaml"), "listen: "+s.Listener.Addr().String()+"\napi_key_file: "+key+"\n", 0o600))
	e, _ := p.examine(t, "--offline")
	for _, f := range e.of("api key") {
		if f.Area == "service" && f.Text == "the service accepts it" {
			return
		}
	}
	t.Errorf("%+v", e.of("api key"))
}

func TestDoctorChangesNothing(t *testing.T) {
	p := newPlace(t)
	makeStore(t, p.home, "keyset.json")
	tree := func() (all []string) {
		_ = filepath.WalkDir(p.home, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				t.Fatal(err)
			}
			fi, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprint(path, fi.Mode(), fi.Size(), fi.ModTime()))
			return nil
		})
		return all
	}
	before := tree()
	if _, o := p.examine(t); o.code != 0 {
		t.Errorf("exit %d", o.code)
	}
	if after := tree(); strings.Join(before, "\n") != strings.Join(after, "\n") {
		t.Errorf("was %q\nis  %q", before, after)
	}
}

func TestDoctorOffline(t *testing.T) {
	p := newPlace(t)
	asked := 0
	p.tenant.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ })
	e, o := p.examine(t, "--offline")
	if f := e.of("provider"); o.code != 0 || asked != 0 || len(f) != 1 || f[0].Result != flow.ResultSkipped {
		t.Errorf("exit %d, asked %d times, %+v", o.code, asked, f)
	}
}

func TestDoctorProbesTheSecretWhenAsked(t *testing.T) {
	p := newPlace(t)
	if e, o := p.examine(t); o.code != 0 || len(e.of("secret")) != 0 {
		t.Errorf("without --probe-secret: exit %d, %+v", o.code, e.of("secret"))
	}
	e, o := p.examine(t, "--probe-secret")
	if f := e.of("secret"); o.code != 77 || len(f) != 1 || !strings.Contains(f[0].Text, "access_denied: Unauthorized") || !strings.Contains(f[0].Hint, "client_secret") {
		t.Errorf("exit %d, %+v", o.code, f)
	}
	setenv(t, "TOKEND_CLIENT_DEMO_CLIENT_SECRET_FILE=/both")
	e, _ = p.examine(t, "--probe-secret")
	if f := e.of("secret"); len(f) != 1 || f[0].Result != flow.ResultSkipped {
		t.Errorf("with a wrong configuration: %+v", f)
	}
}

func TestDoctorOfSomeClients(t *testing.T) {
	p := newPlace(t)
	setenv(t, "TOKEND_CLIENTS=demo,ci", "TOKEND_CLIENT_CI_ISSUER=http://127.0.0.1:1/", "TOKEND_CLIENT_CI_CLIENT_ID=ci",
		"TOKEND_CLIENT_CI_REDIRECT_URI=http://"+os.Getenv("TOKEND_LISTEN")+"/callback/ci")
	if e, o := p.examine(t); o.code != 75 || len(e.of("discovery")) != 2 || e.of("discovery")[0].Client != "ci" {
		t.Errorf("all: exit %d, %+v", o.code, e.of("discovery"))
	}
	if e, o := p.examine(t, "demo"); o.code != 0 || len(e.of("discovery")) != 1 {
		t.Errorf("one: exit %d, %+v", o.code, e.of("discovery"))
	}
	for args, want := range map[string]string{
		"doctor unknown":      `client "unknown" is not configured here`,
		"doctor --format xml": `format "xml" is not one of table, json`,
	} {
		o := tokendWith(t, p.program, strings.Fields(args)...)
		if !strings.Contains(o.stderr, want) || !strings.Contains(o.stderr, "hint: ") || o.stdout != "" || o.code != map[bool]int{true: 66, false: 64}[strings.HasSuffix(args, "unknown")] {
			t.Errorf("%s: %+v", args, o)
		}
	}
}

// A file that cannot be read is the finding, not that it lacks the client.
func TestDoctorOfAClientInABrokenFile(t *testing.T) {
	p := newPlace(t)
	setenv(t, "TOKEND_CONFIG="+write(t, filepath.Join(p.home, "broken.yaml"), "clients: {demo: {", 0o600))
	e, o := p.examine(t, "demo")
	if f := e.of("settings"); o.code != 78 || len(f) != 1 || !strings.Contains(f[0].Text, "invalid YAML") {
		t.Errorf("exit %d, %+v", o.code, f)
	}
}

// Tenants and services that never answer are waited for side by side, and no
// longer than --timeout.
func TestDoctorDoesNotHang(t *testing.T) {
	p := newPlace(t)
	leave := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-leave:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(leave)
	setenv(t, "TOKEND_CLIENTS=demo,ci", "TOKEND_CLIENT_CI_ISSUER="+s.URL+"/", "TOKEND_CLIENT_CI_CLIENT_ID=ci", "TOKEND_CLIENT_DEMO_ISSUER="+s.URL+"/")
	began := time.Now()
	e, o := p.examine(t, "--timeout", "400ms")
	if took := time.Since(began); o.code != 75 || took > 5*time.Second {
		t.Errorf("exit %d after %v", o.code, took)
	}
	for i, f := range e.of("discovery") { // of one issuer: the cause is reported once
		if want := []flow.Result{flow.ResultProblem, flow.ResultSkipped}[i]; f.Result != want || !strings.Contains(f.Text, "does not answer in time") {
			t.Errorf("%+v", f)
		}
	}
	setenv(t, "TOKEND_LISTEN="+s.Listener.Addr().String())
	e, o = p.examine(t, "--timeout", "400ms", "--offline")
	if f := e.of("listener"); o.code != 69 || len(f) != 1 || !strings.Contains(f[0].Text, "does not answer") {
		t.Errorf("exit %d, %+v", o.code, f)
	}
}

func TestDoctorColours(t *testing.T) {
	e := examined{Problems: 1, Findings: []doctor.Finding{{Area: "service", Finding: flow.Finding{Check: "x", Result: flow.ResultProblem, Text: "y", Hint: "z"}}}}
	if got, want := e.table(terminal.Screen{Width: 80, Colours: true}), "service\n  \x1b[31mproblem\x1b[0m  x  y\n              hint: z\n\n1 problem, 0 warnings\n"; got != want {
		t.Errorf("%q", got)
	}
	if got := e.table(terminal.Screen{}); strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
}

func TestWorstOfCodes(t *testing.T) {
	for _, c := range []struct {
		codes []int
		want  int
	}{{nil, 0}, {[]int{75}, 75}, {[]int{75, 76}, 76}, {[]int{76, 77, 75}, 77}, {[]int{77, 69}, 69}, {[]int{69, 78, 77}, 78}} {
		if got := worst(c.codes); got != c.want {
			t.Errorf("%v: %d", c.codes, got)
		}
	}
	for class, want := range map[flow.Class]int{
		flow.ClassConfig: 78, flow.ClassRequest: 78, flow.ClassStoreCorrupt: 78, classNoService: 69, classKey: 77, flow.ClassLoginRequired: 77,
		flow.ClassClientRejected: 77, flow.ClassBadResponse: 76, flow.ClassRedirect: 76, flow.ClassUnreachable: 75, flow.ClassTimeout: 75,
		flow.ClassRateLimited: 75, flow.ClassLeaseBusy: 75, flow.ClassStoreUnavailable: 75,
	} {
		if got := codeOfClass(class); got != want {
			t.Errorf("%s: %d", class, got)
		}
	}
}
