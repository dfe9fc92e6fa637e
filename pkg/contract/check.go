package contract

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Check runs every case against a target and returns a report. It returns an error
// for an invalid target, for an issuer or control API that it cannot reach, and when
// the context ends. Errors with an interface{ Hint() string } say what to do.
func Check(ctx context.Context, target Target) (*Report, error) {
	r, done, err := start(ctx, target)
	if err != nil {
		return nil, err
	}
	defer done()
	report := &Report{Issuer: r.target.Issuer, Cases: []Result{}}
	for _, c := range r.cases() {
		report.Cases = append(report.Cases, r.play(ctx, c))
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("contract: %w", err)
		}
	}
	report.Drift = r.seen.list()
	return report, r.finish(ctx)
}

// TB is the part of testing.TB that [Run] uses.
type TB interface {
	Context() context.Context
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
	Skipf(format string, args ...any)
}

// Run runs every case against a target, each as a subtest if tb has subtests. It logs
// drift. The test fails if every case is skipped or not applicable.
func Run(tb TB, target Target) {
	ctx := tb.Context()
	r, done, err := start(ctx, target)
	if err != nil {
		tb.Errorf("%v", err)
		return
	}
	defer done()
	var played Report
	for _, c := range r.cases() {
		play := func(tb TB, isSub bool) {
			res := r.play(ctx, c)
			played.Cases = append(played.Cases, res)
			switch {
			case res.Status == Fail:
				tb.Errorf("%s (%s)\n%s", c.ID, c.Confidence, res.Diff)
			case res.Status == NotApplicable:
				tb.Logf("%s does not apply: %s", c.ID, res.Reason)
			case res.Status == Skip && isSub:
				tb.Skipf("%s", res.Reason)
			case res.Status == Skip:
				tb.Logf("%s skipped: %s", c.ID, res.Reason)
			}
		}
		if !subtest(tb, c.ID, func(sub TB) { play(sub, true) }) {
			play(tb, false)
		}
	}
	for _, d := range r.seen.list() {
		tb.Logf("drift: %s: %s", d.Case, d.What)
	}
	if len(played.Cases) == len(r.cases()) { // go test -run may choose a few, which say themselves that they are skipped
		if err := played.compared(); err != nil {
			tb.Errorf("contract: %v", err)
		}
	}
	if err := r.finish(ctx); err != nil {
		tb.Errorf("%v", err)
	}
}

// subtest calls tb.Run if tb has it. The parameter of Run has tb's own type, so an
// interface for it would need to import testing, and every program with this package.
func subtest(tb TB, name string, f func(TB)) bool {
	run := reflect.ValueOf(tb).MethodByName("Run")
	if !run.IsValid() || run.Type().NumIn() != 2 || run.Type().In(0).Kind() != reflect.String {
		return false
	}
	body := run.Type().In(1)
	if body.Kind() != reflect.Func || body.NumIn() != 1 || body.NumOut() != 0 || !body.In(0).Implements(reflect.TypeFor[TB]()) {
		return false
	}
	run.Call([]reflect.Value{reflect.ValueOf(name), reflect.MakeFunc(body, func(args []reflect.Value) []reflect.Value {
		f(args[0].Interface().(TB)) //nolint:forcetypeassert // checked by Implements
		return nil
	})})
	return true
}

// start checks the target and that it answers.
func start(ctx context.Context, target Target) (*runner, func(), error) {
	target = target.withDefaults()
	if err := target.check(); err != nil {
		return nil, nil, err
	}
	r, done := newRunner(target)
	if err := r.reach(ctx); err != nil {
		done()
		return nil, nil, r.masked(err)
	}
	return r, done, nil
}

// masked returns an error without secrets.
func (r *runner) masked(err error) error {
	out := fmt.Errorf("contract: %s", r.red.apply(err.Error()))
	var h *hintError
	if errors.As(err, &h) {
		return &hintError{out, h.hint}
	}
	return out
}

func (r *runner) reach(ctx context.Context) error {
	a, err := r.wire.send(ctx, nil, http.MethodGet, r.target.Issuer+".well-known/openid-configuration", nil, "")
	if err != nil {
		return hinted("start it, or correct the address", "the issuer %s cannot be reached: %w", r.target.Issuer, err)
	}
	if a.status != http.StatusOK {
		return hinted("check the issuer's path and its trailing slash", "the issuer %s has no discovery document: status %d", r.target.Issuer, a.status)
	}
	if !r.isMock() {
		return nil
	}
	if err := r.wire.control(ctx, "GET health", nil); err != nil {
		return hinted("leave control empty for a tenant without a control API; then only portable cases run", "%w", err)
	}
	return nil
}

// finish resets a mock tenant.
func (r *runner) finish(ctx context.Context) error {
	if !r.isMock() {
		return nil
	}
	if err := r.wire.control(ctx, "POST reset", nil); err != nil {
		return fmt.Errorf("contract: %w", err)
	}
	return nil
}

// play runs one case.
func (r *runner) play(ctx context.Context, c Case) Result {
	res := Result{ID: c.ID}
	if reason := r.skip(c); reason != "" {
		res.Status, res.Reason = Skip, reason
		return res
	}
	if r.lacks(ctx, c.Feature) {
		res.Status, res.Reason = NotApplicable, "the tenant does not have "+r.data.features[c.Feature].What
		return res
	}
	diff, drifted, err := r.compare(ctx, c)
	var unmet unmetError
	switch {
	case errors.As(err, &unmet):
		res.Status, res.Reason = Skip, string(unmet)
	case err != nil && !r.isMock() && ctx.Err() == nil:
		r.locked = r.locked || errors.Is(err, errLoginRefused)
		res.Status, res.Reason = Skip, err.Error()
	case err != nil:
		res.Status, res.Diff = Fail, err.Error()
	case len(diff) > 0:
		res.Status, res.Diff = Fail, strings.Join(diff, "\n")
	default:
		res.Status = Pass
	}
	res.Diff, res.Reason = r.red.apply(res.Diff), r.red.apply(res.Reason)
	for _, what := range drifted {
		r.seen.add(c.ID, r.red.apply(what))
	}
	return res
}

// unmetError means that a real tenant is not configured for the case.
type unmetError string

func (e unmetError) Error() string { return string(e) }

func (r *runner) compare(ctx context.Context, c Case) (diff, drifted []string, err error) {
	s, err := r.newScene(c)
	if err != nil {
		return nil, nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, nil, err
	}
	a, err := s.request(ctx, c.Request)
	if err != nil {
		return nil, nil, err
	}
	if c.Person == "declines" {
		if a, err = s.browser.followPages(ctx, a, decline); err != nil {
			return nil, nil, err
		}
	}
	if !s.isMock() && c.mentions("password") && a.code() == "invalid_grant" {
		return nil, nil, fmt.Errorf("%s: %w", a.path, errLoginRefused)
	}
	if reason := s.unmet(a); reason != "" {
		return nil, nil, unmetError(reason)
	}
	s.vars["request_id"] = a.header.Get("X-Auth0-RequestId")
	s.keepNonce(a)
	m := &match{scene: s, got: a}
	m.compareCase(ctx)
	if len(m.diff) == 0 {
		s.followUp(ctx, m)
	}
	return m.diff, m.drifted, nil
}

// followUp checks what must hold after the answer. It does not check revocation on a
// real tenant, where that takes time.
func (s *scene) followUp(ctx context.Context, m *match) {
	for _, check := range s.c.After {
		name, arg := splitStep(check)
		if name == "dead" && !s.isMock() {
			continue
		}
		if err := followUps()[name](ctx, s, arg); err != nil {
			m.differ("after: %s: %v", check, err)
		}
	}
}

// request sends a case's request, with cookies if a browser would send it.
func (s *scene) request(ctx context.Context, req Request) (*answer, error) {
	path, err := s.vars.fill(req.Path)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(path, "://") {
		path = s.target.Issuer + strings.TrimPrefix(path, "/")
	}
	query, err := s.vars.fillMap(req.Query)
	if err != nil {
		return nil, err
	}
	if len(query) > 0 {
		path += "?" + values(query).Encode()
	}
	headers, err := s.vars.fillMap(req.Headers)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	for k, v := range headers {
		header.Set(k, v)
	}
	form, errForm := s.vars.fillMap(req.Form)
	object, errJSON := s.vars.fillMap(req.JSON)
	if err := errors.Join(errForm, errJSON); err != nil {
		return nil, err
	}
	body := req.Raw
	switch {
	case len(req.Object) > 0:
		if body, err = s.fillJSON(req.Object); err != nil {
			return nil, err
		}
		header.Set("Content-Type", "application/json")
	case len(form) > 0:
		body = values(form).Encode()
	case len(object) > 0:
		body = encodeJSON(object)
	}
	var jar http.CookieJar
	if slices.ContainsFunc([]string{"/authorize", "/v2/logout", "/oidc/logout"}, func(p string) bool { return p == req.Path }) {
		jar = s.browser.jar
	}
	return s.wire.send(ctx, jar, req.Method, path, header, body)
}

// skip returns why a case cannot run, or "".
func (r *runner) skip(c Case) string {
	if r.isMock() {
		return ""
	}
	if !c.Portable {
		return c.WhyNot
	}
	needsUser := slices.ContainsFunc(c.Setup, func(s string) bool { return slices.Contains(usesUser, s) })
	switch {
	case r.target.Management && r.target.ManagementToken == "":
		return "needs a token for the Management API, which is not set"
	case needsUser && r.target.Username == "":
		return "needs a user; username and password are not set"
	case needsUser && r.locked:
		return "the tenant refused the user's password; the suite does not retry it"
	}
	vars := r.target.variables()
	for _, name := range []string{"client_secret", "redirect_uri", "audience"} {
		if vars[name] == "" && c.mentions(name) {
			return "needs " + name + ", which is not set"
		}
	}
	return ""
}

// mentions reports whether a request or its setup uses a variable.
func (c Case) mentions(name string) bool {
	r := c.Request
	for _, m := range []map[string]string{r.Query, r.Headers, r.Form, r.JSON} {
		for _, v := range m {
			if strings.Contains(v, "{{"+name+"}}") {
				return true
			}
		}
	}
	return len(c.Setup) > 0 && name == "redirect_uri"
}

// unmet returns why a real tenant's answer does not apply to the case, or "".
func (s *scene) unmet(a *answer) string {
	c := s.c
	if s.isMock() {
		return ""
	}
	code := a.code()
	for _, u := range c.Unmet {
		if (code == u || strconv.Itoa(a.status) == u) && a.status != c.Status {
			return fmt.Sprintf("the tenant is not configured for it (%s): %s", c.Precondition, a.summary())
		}
	}
	if c.Body != nil && len(c.Body.HTMLContains) > 0 && a.location() != nil && code != "" && a.location().Query().Has("tracking") {
		return "the tenant has a custom error page"
	}
	return ""
}
