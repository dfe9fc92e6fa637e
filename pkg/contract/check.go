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

// Check plays every case against a target and reports them all. An error means
// that there is no report: a faulty target, an issuer or a control surface that
// cannot be reached, or a context that ended.
func Check(ctx context.Context, target Target) (*Report, error) {
	r, done, err := start(ctx, target)
	if err != nil {
		return nil, err
	}
	defer done()
	report := &Report{Issuer: r.target.Issuer, Cases: []Result{}}
	for _, c := range r.data.cases {
		report.Cases = append(report.Cases, r.play(ctx, c))
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("contract: %w", err)
		}
	}
	report.Drift = r.seen.list()
	return report, r.finish(ctx)
}

// TB is what [Run] needs of a test; *testing.T, *testing.B and *testing.F fit.
type TB interface {
	Context() context.Context
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
	Skipf(format string, args ...any)
}

// Run plays every case against a target as a subtest of the case's name, or in
// tb itself where it has no subtests. Drift is logged.
func Run(tb TB, target Target) {
	ctx := tb.Context()
	r, done, err := start(ctx, target)
	if err != nil {
		tb.Errorf("%v", err)
		return
	}
	defer done()
	for _, c := range r.data.cases {
		play := func(tb TB, isSub bool) {
			switch res := r.play(ctx, c); {
			case res.Status == Fail:
				tb.Errorf("%s (%s)\n%s", c.ID, c.Confidence, res.Diff)
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
	if err := r.finish(ctx); err != nil {
		tb.Errorf("%v", err)
	}
}

// subtest calls tb.Run if there is one. Its second parameter is a function of
// tb's own type, which no interface can name without importing testing into
// every program that reports a contract.
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
		f(args[0].Interface().(TB)) //nolint:forcetypeassert // Implements said so
		return nil
	})})
	return true
}

// start checks the target and that it is there.
func start(ctx context.Context, target Target) (*runner, func(), error) {
	target = target.withDefaults()
	if err := target.check(); err != nil {
		return nil, nil, err
	}
	r, done := newRunner(target)
	if err := r.reach(ctx); err != nil {
		done()
		return nil, nil, fmt.Errorf("contract: %s", r.red.apply(err.Error()))
	}
	return r, done, nil
}

func (r *runner) reach(ctx context.Context) error {
	a, err := r.wire.send(ctx, nil, http.MethodGet, r.target.Issuer+".well-known/openid-configuration", nil, "")
	if err != nil {
		return fmt.Errorf("the issuer %s cannot be reached: %w; hint: is it running?", r.target.Issuer, err)
	}
	if a.status != http.StatusOK {
		return fmt.Errorf("the issuer %s has no discovery document: %d; hint: is the issuer complete?", r.target.Issuer, a.status)
	}
	if !r.planted() {
		return nil
	}
	if err := r.wire.control(ctx, "GET health", nil); err != nil {
		return fmt.Errorf("%w; hint: without a control surface leave it empty, then only portable cases run", err)
	}
	return nil
}

// finish leaves a planted tenant as it starts.
func (r *runner) finish(ctx context.Context) error {
	if !r.planted() {
		return nil
	}
	if err := r.wire.control(ctx, "POST reset", nil); err != nil {
		return fmt.Errorf("contract: %w", err)
	}
	return nil
}

// play plays one case.
func (r *runner) play(ctx context.Context, c Case) Result {
	res := Result{ID: c.ID}
	if reason := r.skip(c); reason != "" {
		res.Status, res.Reason = Skip, reason
		return res
	}
	diff, drifted, err := r.compare(ctx, c)
	var unmet unmetError
	switch {
	case errors.As(err, &unmet):
		res.Status, res.Reason = Skip, string(unmet)
	case err != nil && !r.planted() && ctx.Err() == nil:
		r.locked = r.locked || errors.Is(err, errRefused)
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

// unmetError says that a real tenant is not set up for the case.
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
		if a, err = s.browser.walk(ctx, a, decline); err != nil {
			return nil, nil, err
		}
	}
	if !s.planted() && c.Request.JSON["password"]+c.Request.Form["password"] != "" && a.code() == "invalid_grant" {
		return nil, nil, fmt.Errorf("%s: %w", a.path, errRefused)
	}
	if reason := s.unmet(a); reason != "" {
		return nil, nil, unmetError(reason)
	}
	s.vars["request_id"] = a.header.Get("X-Auth0-RequestId")
	m := &match{scene: s, got: a}
	m.judge(ctx)
	if len(m.diff) == 0 {
		s.followUp(ctx, m)
	}
	return m.diff, m.drifted, nil
}

// followUp checks what must hold after the answer. A real tenant revokes
// eventually, so what must be dead is not asked there.
func (s *scene) followUp(ctx context.Context, m *match) {
	for _, check := range s.c.After {
		name, arg := splitStep(check)
		if name == "dead" && !s.planted() {
			continue
		}
		if err := followUps()[name](ctx, s, arg); err != nil {
			m.fault("after: %s: %v", check, err)
		}
	}
}

// request sends a request of the data. Cookies go along to the front channel.
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

// skip says why a case cannot run, or nothing.
func (r *runner) skip(c Case) string {
	if r.planted() {
		return ""
	}
	if !c.Portable {
		return c.WhyNot
	}
	needsUser := slices.ContainsFunc(c.Setup, func(s string) bool { return slices.Contains(usesUser, s) })
	switch {
	case needsUser && r.target.Username == "":
		return "it needs a user who signs in, and no credentials were given"
	case needsUser && r.locked:
		return "the tenant refused the user's password, and it is not tried again"
	}
	vars := r.target.variables()
	for _, name := range []string{"client_secret", "redirect_uri", "audience"} {
		if vars[name] == "" && c.mentions(name) {
			return "it needs the " + strings.ReplaceAll(name, "_", " ") + ", and none was given"
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

// unmet says why a real tenant's answer tells nothing about the case, or nothing.
func (s *scene) unmet(a *answer) string {
	c := s.c
	if s.planted() {
		return ""
	}
	code := a.code()
	for _, u := range c.Unmet {
		if (code == u || strconv.Itoa(a.status) == u) && a.status != c.Status {
			return fmt.Sprintf("the tenant is not set up for it (%s): %s", c.Precondition, a.summary())
		}
	}
	if c.Body != nil && len(c.Body.HTMLContains) > 0 && a.location() != nil && code != "" && a.location().Query().Has("tracking") {
		return "the tenant shows an error page of its own"
	}
	return ""
}
