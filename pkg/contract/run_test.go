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
}

func (s *subTB) Skipf(format string, args ...any) { s.skipped = fmt.Sprintf(format, args...) }

func (s *subTB) Run(name string, f func(*subTB)) bool {
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
