package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// explained fails for a log line about an error without a reason and a hint. Every test
// that starts a service checks its log with it.
func explained(t testing.TB, log string) {
	t.Helper()
	for line := range strings.SplitSeq(log, "\n") {
		if !strings.Contains(line, " level=WARN ") && !strings.Contains(line, " level=ERROR ") {
			continue
		}
		for _, attr := range []string{"reason", "hint"} {
			if !regexp.MustCompile(` ` + attr + `=("[^"]|[^" ])`).MatchString(line) {
				t.Errorf("a line of the log has no %s: %s", attr, line)
			}
		}
		if strings.Contains(line, "hint: ") || strings.Contains(line, "state=") {
			t.Errorf("a line of the log has a hint in another attribute, or the state of a login: %s", line)
		}
	}
}

// Errors of a client are logged with a reason and a hint.
func TestLog_FailuresHaveReasonAndHint(t *testing.T) {
	f, gone := newTenant(t), newTenant(t)
	f.answer(refuseWith(401, "invalid_client"))
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = down.Close()
	gone.Close()
	cut := person(t, gone, "cut")
	broken := makeClient(t, flow.Config{
		Name: "broken", Issuer: f.issuer(), ClientID: "broken", ClientSecret: canarySecret, Store: brokenStore{flow.NewMemoryStore()},
		Source: flow.Seed{RefreshToken: canaryFresh},
	}, "")
	d := start(t, Config{
		Clients: []Client{kept(t, f, "demo"), person(t, f, "web"), cut, gone.withDevice(t), broken, proxied(t, newTenant(t), "http://"+down.Addr().String()).named(t, "api")},
		Ready:   func(context.Context) error { return hint.Errorf("restore a backup", "the database is damaged") },
	})
	state := d.begun(t, "web")
	d.raw(t, get(tokenPath, "HOST", ""))
	d.call(t, "GET", "/readyz", "")
	d.call(t, "POST", "/v1/clients/demo/login", `{"headless":true}`)
	d.call(t, "POST", "/v1/clients/demo/refresh", "")
	d.call(t, "POST", "/v1/clients/broken/resume", "")
	d.call(t, "DELETE", "/v1/clients/broken/grant", "")
	d.call(t, "POST", "/v1/clients/cut/login", "")
	d.call(t, "POST", "/v1/clients/tv/login", "")
	d.call(t, "POST", "/v1/clients/web/code", `{"code":"`+canaryCode+`","state":"`+state+`"}`)
	d.call(t, "GET", "/v1/clients/api/proxy/", "")
	for _, want := range []string{
		`msg=refused error=unauthorized reason="no API key" hint="set TOKEND_API_KEY`,
		`msg="not ready" reason="the database is damaged" hint="restore a backup"`,
		`msg="login failed" client=demo error=client_rejected reason=`,
		`msg="refresh failed" client=demo error=client_rejected reason=`,
		`msg="resume failed" client=broken error=store_unavailable reason=`,
		`msg="logout failed" client=broken error=store_unavailable reason=`,
		`msg="login failed" client=cut error=idp_unreachable reason=`,
		`msg="login failed" client=tv error=idp_unreachable reason=`,
		`msg="login failed" client=web error=client_rejected reason=`,
		`msg="upstream failed" client=api upstream=`,
	} {
		if !strings.Contains(d.log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, d.log)
		}
	}
	noCanary(t, "log", d.log.String())
}

// An error without a hint has one in the log.
func TestFailureOf_HasAHint(t *testing.T) {
	cl := &client{Client: kept(t, newTenant(t), "demo")}
	got := fmt.Sprint(failureOf(t.Context(), cl, &flow.Error{Op: "refresh", Class: flow.ClassRequest, Code: "invalid_scope"})...)
	if want := fmt.Sprint("client", "demo", "error", "invalid_request", "reason", "invalid_scope: refresh failed", "hint", "tokend doctor demo shows more", "caller", ""); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// brokenStore is a store that does not answer.
type brokenStore struct{ *flow.MemoryStore }

func (brokenStore) Load(context.Context, string) (*flow.Grant, error) {
	return nil, errors.New("the disk is gone")
}

// named is the same client under another name.
func (c Client) named(t *testing.T, name string) Client {
	t.Helper()
	f := newTenant(t)
	n := kept(t, f, name)
	n.Upstreams = c.Upstreams
	return n
}

func TestReasonAndHint(t *testing.T) {
	for name, tt := range map[string]struct {
		err          error
		reason, hint string
	}{
		"plain":      {errors.New("no"), "no", "otherwise"},
		"with hint":  {fmt.Errorf("ping: %w", hint.Errorf("do", "no")), "ping: no", "do"},
		"flow's":     {&flow.Error{Op: "load", Class: flow.ClassStoreUnavailable, Description: "no", Hint: "do"}, "no", "do"},
		"flow's, no": {&flow.Error{Op: "load", Class: flow.ClassStoreUnavailable, Description: "no"}, "no", "otherwise"},
	} {
		if reason, advice := reasonAndHint(tt.err, "otherwise"); reason != tt.reason || advice != tt.hint {
			t.Errorf("%s: %q, %q", name, reason, advice)
		}
	}
}
