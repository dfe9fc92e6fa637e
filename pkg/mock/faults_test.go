package mock_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

// wire is a tenant that listens and a client with a deadline.
func wire(t testing.TB) (*mock.Tenant, *http.Client) {
	t.Helper()
	tenant := mock.Start(t, mock.Config{})
	client := tenant.Client()
	client.Timeout = 5 * time.Second
	t.Cleanup(client.CloseIdleConnections)
	return tenant, client
}

func ccForm() url.Values {
	return pairs("grant_type", "client_credentials", "client_id", "demo", "client_secret", "demo-secret", "audience", api)
}

func postToken(t testing.TB, tenant *mock.Tenant, client *http.Client, form url.Values) (*http.Response, string, error) {
	t.Helper()
	res, err := client.PostForm(tenant.Issuer()+"oauth/token", form)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(res.Body)
	return res, string(b), err
}

func fail(t testing.TB, tenant *mock.Tenant, f mock.Fault) *mock.Armed {
	t.Helper()
	a, err := tenant.Fail(f)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestFaultStatusAnswersAsTheTenant(t *testing.T) {
	w := newWorld(t, mock.Config{})
	cc := func() reply { return w.do(formRequest("/oauth/token", ccForm())) }
	cases := []struct {
		fault mock.Fault
		body  string
		head  map[string]string
	}{
		{
			mock.Fault{Status: 429},
			`{"error":"too_many_requests","error_description":"Global limit has been reached"}`,
			map[string]string{"X-RateLimit-Remaining": "0", "Retry-After": ""},
		},
		{
			mock.Fault{Status: 429, Policy: "client"},
			`{"error":"too_many_requests","error_description":"Rate limit exceeded."}`,
			map[string]string{"Retry-After": "1", "Auth0-RateLimit": "client;q=10;t=1;r=0"},
		},
		{mock.Fault{Status: 429, Policy: "client", Headers: map[string]string{"Retry-After": "7"}}, "", map[string]string{"Retry-After": "7"}},
		{mock.Fault{Status: 503}, `{"error":"temporarily_unavailable","error_description":"The service is temporarily unavailable"}`, nil},
		{mock.Fault{Status: 500, Body: "<html>", Headers: map[string]string{"Content-Type": "text/html"}}, "<html>", map[string]string{"Content-Type": "text/html"}},
		{mock.Fault{Kind: mock.FaultBody, Body: `{"access_token":`}, `{"access_token":`, map[string]string{"Content-Type": "application/json"}},
		{mock.Fault{Kind: mock.FaultRedirect, Headers: map[string]string{"location": "https://elsewhere.example/"}}, "", map[string]string{"Location": "https://elsewhere.example/"}},
	}
	for _, c := range cases {
		if c.fault.Kind == "" {
			c.fault.Kind = mock.FaultStatus
		}
		c.fault.Endpoint, c.fault.Times = "token", 1
		a := fail(t, w.Tenant, c.fault)
		r := cc()
		want := c.fault.Status
		switch c.fault.Kind {
		case mock.FaultBody:
			want = 200
		case mock.FaultRedirect:
			want = 307
		}
		if r.status != want || (c.body != "" && r.body != c.body) {
			t.Errorf("%+v: %d %s", c.fault, r.status, r.body)
		}
		for k, v := range c.head {
			if got := r.header.Get(k); got != v {
				t.Errorf("%+v: %s %q, want %q", c.fault, k, got, v)
			}
		}
		if a.Count() != 1 || cc().status != 200 {
			t.Errorf("%+v: hit %d times, or again", c.fault, a.Count())
		}
	}
	fail(t, w.Tenant, mock.Fault{Endpoint: "authorize", Kind: mock.FaultStatus, Status: 429, Times: 1})
	w.authorize().page(429, "too_many_requests", "")
}

func TestFaultsAreScopedCountedAndSeeded(t *testing.T) {
	w := newWorld(t, mock.Config{})
	cc := func() int { return w.do(formRequest("/oauth/token", ccForm())).status }
	tk := w.tokens("demo")
	a := fail(t, w.Tenant, mock.Fault{Endpoint: "token", Grant: "refresh_token", ClientID: "demo", Kind: mock.FaultStatus, Status: 503})
	other := fail(t, w.Tenant, mock.Fault{Endpoint: "token", ClientID: "machine", Kind: mock.FaultStatus, Status: 503})
	if cc() != 200 || other.Count() != 0 || w.get("/.well-known/jwks.json").status != 200 || w.userinfo(tk.Access).status != 200 {
		t.Error("a fault of another endpoint or grant hits")
	}
	r := formRequest("/oauth/token", pairs("grant_type", "refresh_token", "refresh_token", tk.Refresh))
	r.SetBasicAuth("demo", "demo-secret")
	if got := w.do(r).status; got != 503 || w.refresh("demo", tk.Refresh).status != 503 || a.Count() != 2 {
		t.Errorf("%d, hit %d times", got, a.Count())
	}
	a.Disarm()
	w.refresh("demo", tk.Refresh).tokens()

	hits := func(seed uint64) string {
		a := fail(t, w.Tenant, mock.Fault{Endpoint: "token", Kind: mock.FaultStatus, Status: 500, Rate: 0.5, Seed: seed})
		defer a.Disarm()
		var b strings.Builder
		for range 40 {
			if cc() == 500 {
				b.WriteByte('x')
			} else {
				b.WriteByte('.')
			}
		}
		return b.String()
	}
	one, again, two := hits(1), hits(1), hits(2)
	if n := strings.Count(one, "x"); one != again || one == two || n < 8 || n > 32 {
		t.Errorf("%s %s %s", one, again, two)
	}
	fail(t, w.Tenant, mock.Fault{Endpoint: "token", Kind: mock.FaultStatus, Status: 500})
	w.Tenant.Disarm()
	if cc() != 200 {
		t.Error("Disarm leaves a fault")
	}
	w.mustControl("POST", "/_mock/faults", `{"endpoint":"token","kind":"status","status":503}`)
	w.mustControl("DELETE", "/_mock/faults", ``)
	if cc() != 200 {
		t.Error("DELETE /_mock/faults leaves a fault")
	}
}

// The list includes faults that have hit as often as they should.
func TestFaultsAreListed(t *testing.T) {
	w := newWorld(t, mock.Config{})
	list := func(want string) {
		t.Helper()
		if got := w.mustControl("GET", "/_mock/faults", "").body; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	list(`{"count":0,"faults":[]}`)
	w.mustControl("POST", "/_mock/faults", `{"endpoint":"token","times":1,"kind":"status","status":503}`)
	w.mustControl("POST", "/_mock/faults", `{"endpoint":"jwks","kind":"status","status":500}`)
	if r := w.do(formRequest("/oauth/token", ccForm())); r.status != 503 {
		t.Fatalf("%d", r.status)
	}
	list(`{"count":2,"faults":[{"endpoint":"token","times":1,"kind":"status","status":503,"hits":1,"armed":false},` +
		`{"endpoint":"jwks","kind":"status","status":500,"hits":0,"armed":true}]}`)
	armed := fail(t, w.Tenant, mock.Fault{Endpoint: "userinfo", Kind: mock.FaultHang})
	armed.Disarm()
	if got := w.Faults(); len(got) != 3 || got[2].Armed {
		t.Errorf("%+v", got)
	}
	w.mustControl("POST", "/_mock/reset", "")
	list(`{"count":0,"faults":[]}`)
}

func TestFaultFieldsAreChecked(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for field, body := range map[string]string{
		"endpoint":     `{"endpoint":"nowhere","kind":"hang"}`,
		"kind":         `{"endpoint":"token","kind":"explode"}`,
		"times, bytes": `{"endpoint":"token","kind":"hang","times":-1}`,
		"rate":         `{"endpoint":"token","kind":"hang","rate":1}`,
		"status":       `{"endpoint":"token","kind":"body","status":42}`,
		"headers":      `{"endpoint":"token","kind":"redirect"}`,
		"delay":        `{"endpoint":"token","kind":"delay"}`,
		"unknown":      `{"endpoint":"token","kind":"hang","knid":1}`,
	} {
		if r := w.control("POST", "/_mock/faults", body); r.status != 400 || !strings.Contains(r.body, field) {
			t.Errorf("%s: %d %s", field, r.status, r.body)
		}
	}
	for _, d := range []string{"soon", "-1s"} {
		if r := w.control("POST", "/_mock/faults", `{"endpoint":"token","kind":"drip","delay":"`+d+`"}`); r.status != 400 || !strings.Contains(r.body, "delay") {
			t.Errorf("%s: %d %s", d, r.status, r.body)
		}
	}
	if r := w.control("POST", "/_mock/faults", `{"endpoint":"token","kind":"status","status":100}`); r.status != 400 {
		t.Errorf("%d", r.status)
	}
}

func TestFaultsOfTheConnection(t *testing.T) {
	tenant, client := wire(t)
	arm := func(kind mock.FaultKind, change func(*mock.Fault)) {
		f := mock.Fault{Endpoint: "token", Kind: kind, Times: 1}
		if change != nil {
			change(&f)
		}
		fail(t, tenant, f)
	}
	call := func() (*http.Response, string, error) { return postToken(t, tenant, client, ccForm()) }

	arm(mock.FaultReset, nil)
	if _, _, err := call(); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("reset: %v", err)
	}
	arm(mock.FaultTruncate, func(f *mock.Fault) { f.Bytes = 20 })
	if _, body, err := call(); !errors.Is(err, io.ErrUnexpectedEOF) || len(body) != 20 || !strings.HasPrefix(body, `{"access_token":"`) {
		t.Errorf("truncate: %q, %v", body, err)
	}
	arm(mock.FaultTruncate, nil)
	if _, body, err := call(); !errors.Is(err, io.ErrUnexpectedEOF) || len(body) < 100 {
		t.Errorf("truncate by half: %d bytes, %v", len(body), err)
	}
	arm(mock.FaultDrip, func(f *mock.Fault) { f.Delay = "1ms" })
	began := time.Now()
	if res, body, err := call(); err != nil || res.StatusCode != 200 || !strings.HasSuffix(body, "}") || time.Since(began) < 300*time.Millisecond {
		t.Errorf("drip: %q, %v after %s", body, err, time.Since(began))
	}
	for _, afterCommit := range []bool{false, true} {
		arm(mock.FaultDelay, func(f *mock.Fault) { f.Delay, f.AfterCommit = "50ms", afterCommit })
		began := time.Now()
		if res, body, err := call(); err != nil || res.StatusCode != 200 || !strings.HasSuffix(body, `"token_type":"Bearer"}`) || time.Since(began) < 50*time.Millisecond {
			t.Errorf("delay, after commit %v: %q, %v after %s", afterCommit, body, err, time.Since(began))
		}
	}
	arm(mock.FaultHang, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, tenant.Issuer()+"oauth/token", strings.NewReader(ccForm().Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if res, err := client.Do(r); !errors.Is(err, context.DeadlineExceeded) {
		_ = res.Body.Close()
		t.Errorf("hang: %v", err)
	}
	if res, _, err := call(); err != nil || res.StatusCode != 200 {
		t.Errorf("afterwards: %v", err)
	}
}

// The tenant rotates the token and the response is lost: how a client loses a
// rotated token.
func TestFaultsAfterCommit(t *testing.T) {
	for _, kind := range []mock.FaultKind{mock.FaultStatus, mock.FaultReset, mock.FaultTruncate} {
		for _, after := range []bool{true, false} {
			if kind == mock.FaultTruncate && !after {
				continue // a truncated response always follows a commit
			}
			tenant, client := wire(t)
			back, err := tenant.Approve(t.Context(), authorizeAt(tenant))
			if err != nil {
				t.Fatal(err)
			}
			_, body, err := postToken(t, tenant, client, pairs("grant_type", "authorization_code", "client_id", "demo", "client_secret", "demo-secret",
				"code", back.Get("code"), "redirect_uri", callback))
			if err != nil {
				t.Fatal(err)
			}
			refresh := pairs("grant_type", "refresh_token", "client_id", "demo", "client_secret", "demo-secret",
				"refresh_token", decodeJSON[tokens](t, body).Refresh)
			before := tenant.Families()[0].Seen
			tenant.Advance(time.Minute)
			fail(t, tenant, mock.Fault{Endpoint: "token", Kind: kind, Status: 503, Times: 1, AfterCommit: after})
			if res, _, err := postToken(t, tenant, client, refresh); err == nil && res.StatusCode != 503 {
				t.Errorf("%s: %d", kind, res.StatusCode)
			}
			waitForEntries(t, tenant, mock.Query{Grant: "refresh_token"}, 1)
			if carried := tenant.Families()[0].Seen.After(before); carried != after {
				t.Errorf("%s, after commit %v: carried out %v", kind, after, carried)
			}
		}
	}
}

// waitForEntries waits for the journal, which records a call after its client may have seen the end.
func waitForEntries(t testing.TB, tenant *mock.Tenant, q mock.Query, n int) []mock.Entry {
	t.Helper()
	for range 1000 {
		if list := tenant.Journal().Find(q); len(list) >= n {
			return list
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("the journal has no %d entries of %+v", n, q)
	return nil
}

func authorizeAt(tenant *mock.Tenant) string {
	return strings.TrimSuffix(tenant.Issuer(), "/") + authorizeURL()
}

func TestBrokenConnectionsAreInTheJournal(t *testing.T) {
	tenant, client := wire(t)
	fail(t, tenant, mock.Fault{Endpoint: "token", Kind: mock.FaultReset, Times: 1})
	_, _, err := postToken(t, tenant, client, ccForm())
	if err == nil {
		t.Fatal("no error")
	}
	if got := waitForEntries(t, tenant, mock.Query{Endpoint: "token"}, 1)[0]; got.Reason != "fault: reset" {
		t.Errorf("%+v", got)
	}
	fail(t, tenant, mock.Fault{Endpoint: "authorize", Kind: mock.FaultReset, Times: 1})
	if _, err := tenant.Approve(t.Context(), authorizeAt(tenant)); err == nil || !strings.Contains(err.Error(), "a fault broke the connection") {
		t.Errorf("Approve: %v", err)
	}
}
