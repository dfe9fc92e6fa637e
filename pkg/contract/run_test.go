package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// plainTB is a TB without subtests.
type plainTB struct {
	ctx          context.Context
	failed, logs []string
}

func (p *plainTB) Context() context.Context { return p.ctx }
func (p *plainTB) Errorf(format string, args ...any) {
	p.failed = append(p.failed, fmt.Sprintf(format, args...))
}

func (p *plainTB) Logf(format string, args ...any) {
	p.logs = append(p.logs, fmt.Sprintf(format, args...))
}

func (p *plainTB) Skipf(format string, args ...any) {
	p.failed = append(p.failed, "the whole test was skipped")
}

// subTB is a TB with subtests.
type subTB struct {
	plainTB
	skipped string
	subs    map[string]*subTB
	run     []string // the subtests that run; nil: all
}

func (s *subTB) Skipf(format string, args ...any) { s.skipped = fmt.Sprintf(format, args...) }

func (s *subTB) Run(name string, f func(*subTB)) bool {
	if s.run != nil && !slices.Contains(s.run, name) {
		return true
	}
	sub := &subTB{plainTB: plainTB{ctx: s.ctx}}
	s.subs[name] = sub
	f(sub)
	return len(sub.failed) == 0
}

func TestRun(t *testing.T) {
	c := newCanned(t)
	c.answer = discoveryOnly
	plain := &plainTB{ctx: t.Context()}
	Run(plain, c.target())
	if !slices.ContainsFunc(plain.failed, func(s string) bool {
		return strings.HasPrefix(s, "token.code.missing (reported)\nstatus: expected 400, got 403")
	}) {
		t.Errorf("failures: %.300q", plain.failed)
	}
	if !slices.Contains(plain.logs, "token.code.expired skipped: a real tenant's clock cannot be moved") {
		t.Errorf("logs: %.300q", plain.logs)
	}
	sub := &subTB{plainTB: plainTB{ctx: t.Context()}, subs: map[string]*subTB{}}
	Run(sub, c.target())
	if len(sub.subs) != 263 || len(sub.failed) > 0 {
		t.Errorf("%d subtests, failures of the test itself: %q", len(sub.subs), sub.failed)
	}
	if s := sub.subs["token.code.expired"]; s == nil || s.skipped == "" || len(s.failed) > 0 {
		t.Errorf("token.code.expired: %+v", s)
	}
	if s := sub.subs["token.code.missing"]; s == nil || len(s.failed) != 1 {
		t.Errorf("token.code.missing: %+v", s)
	}
	if s := sub.subs["token.code.invalid"]; s == nil || len(s.failed) > 0 || s.skipped != "" {
		t.Errorf("token.code.invalid: %+v", s)
	}
	broken := &plainTB{ctx: t.Context()}
	Run(broken, Target{})
	if len(broken.failed) != 1 {
		t.Errorf("an invalid target: %q", broken.failed)
	}
}

// A test in which every case is left out has tested nothing and fails, unless go test
// -run chose the cases.
func TestRun_FailsIfNothingIsCompared(t *testing.T) {
	c := newCanned(t)
	c.answer = discoveryOnly
	target := c.target()
	login := Case{ID: "login", Request: Request{Method: "GET", Path: "/authorize"}, Setup: []string{"session"}, Portable: true}
	refused := Case{ID: "refused", Request: Request{Method: "POST", Path: "/oauth/token"}, Portable: true, Status: 403}
	for name, tc := range map[string]struct {
		cases []Case
		run   string // the cases that are played
		want  int    // failures of the test itself
	}{
		"all are skipped": {[]Case{login}, "login", 1},
		"one is skipped":  {[]Case{login, refused}, "login refused", 0},
		"the skipped one": {[]Case{login, refused}, "login", 0},
		"no such case":    {[]Case{login, refused}, "", 0}, // go test reports it
	} {
		target.Recording = &Recording{Cases: tc.cases}
		sub := &subTB{plainTB: plainTB{ctx: t.Context()}, subs: map[string]*subTB{}, run: strings.Fields(tc.run)}
		Run(sub, target)
		if len(sub.failed) != tc.want || tc.want > 0 && !strings.Contains(sub.failed[0], "nothing was compared: 1 case, 1 skipped, 0 not applicable") {
			t.Errorf("%s: failures %q", name, sub.failed)
		}
	}
	target.Recording = &Recording{Cases: []Case{login}}
	plain := &plainTB{ctx: t.Context()}
	if Run(plain, target); len(plain.failed) != 1 {
		t.Errorf("without subtests: failures %q", plain.failed)
	}
}

func TestReport_Err(t *testing.T) {
	pass, fail, skip, absent := Result{Status: Pass}, Result{Status: Fail}, Result{Status: Skip}, Result{Status: NotApplicable}
	for _, tc := range []struct {
		cases []Result
		want  string
		hint  bool
	}{
		{[]Result{pass}, "", false},
		{[]Result{pass, skip, absent}, "", false},
		{[]Result{fail}, "1 of 1 case failed", false},
		{[]Result{fail, pass, skip}, "1 of 3 cases failed", false},
		{[]Result{skip, skip, absent}, "nothing was compared: 3 cases, 2 skipped, 1 not applicable", true},
		{nil, "nothing was compared: 0 cases, 0 skipped, 0 not applicable", true},
	} {
		err := (&Report{Cases: tc.cases}).Err()
		if got := fmt.Sprint(err); tc.want == "" && err != nil || tc.want != "" && got != tc.want || hasHint(err) != tc.hint {
			t.Errorf("%v: %v, want %q", tc.cases, err, tc.want)
		}
	}
}

func TestReport_CountsOneCaseInTheSingular(t *testing.T) {
	var b strings.Builder
	if err := (&Report{Issuer: "https://acme.example/", Cases: []Result{{ID: "a", Status: Pass}}}).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "https://acme.example/: 1 case, 1 passed,") {
		t.Error(b.String())
	}
}

// A file that is not a recording, or an empty one, is an error that says how to make one.
func TestReadRecording_Refuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"cases":[]}`: "the recording has no case",
		`{}`:           "the recording has no case",
		`[]`:           "cannot unmarshal",
		`{"cases":[{"id":"a","portable":true,"setup":["x"]}]}`: `no step "x"`,
	} {
		if _, err := ReadRecording([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || !hasHint(err) {
			t.Errorf("%s: %v, want %q and a hint", text, err, want)
		}
	}
}

// *testing.T has subtests.
func TestSubtestOfTesting(t *testing.T) {
	ran := ""
	if !subtest(t, "name", func(sub TB) { ran = sub.(*testing.T).Name() }) || ran != "TestSubtestOfTesting/name" {
		t.Errorf("ran %q", ran)
	}
}

func TestReportForms(t *testing.T) {
	r := &Report{
		Issuer: "https://acme.example/",
		Cases: []Result{
			{ID: "a.good", Status: Pass},
			{ID: "a.bad", Status: Fail, Diff: "status: expected 403, got 400\nbody.error: expected \"invalid_grant\", got \"<b>&\""},
			{ID: "a.left_out", Status: Skip, Reason: "a real tenant's clock cannot be moved"},
			{ID: "a.absent", Status: NotApplicable, Reason: "the tenant does not have second factors"},
		},
		Drift: []Drift{{Case: "a.good", What: "header X-New"}},
	}
	golden := func(name string, b []byte) {
		t.Helper()
		path := "testdata/" + name
		if *update {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, b, want)
		}
	}
	var text, junit bytes.Buffer
	if err := errors.Join(r.WriteText(&text), r.WriteJUnit(&junit)); err != nil {
		t.Fatal(err)
	}
	j, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden("report.text.golden", text.Bytes())
	golden("report.junit.golden", junit.Bytes())
	golden("report.json.golden", append(j, '\n'))
	if r.Failed() != 1 {
		t.Errorf("%d failed, want 1", r.Failed())
	}
}

func TestTarget_PrintsNoSecret(t *testing.T) {
	target := Target{Issuer: "https://tenant.example.com/", ClientSecret: "CANARY", ManagementToken: "CANARY", Password: "CANARY"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		for _, v := range []any{target, &target, []*Target{&target}} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "CANARY") || !strings.Contains(text, target.Issuer) {
				t.Errorf("%s of %T: %s", verb, v, text)
			}
		}
	}
}
