package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tokend/internal/audit"
	"example.com/tokend/pkg/flow"
)

// auditLog is an audit log in a directory of its own.
func auditLog(t testing.TB) (l *audit.Log, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "audit.jsonl")
	l, err := audit.Open(audit.Config{Path: path, Max: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, path
}

// entries are the lines of an audit log, without their times, ports and numbers.
func entries(t testing.TB, path string, replace ...string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	noCanary(t, "the audit log", string(b))
	var list []string
	for line := range strings.Lines(string(b)) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil || e["time"] == "" {
			t.Fatalf("%v: %s", err, line)
		}
		delete(e, "time")
		if id, _ := e["request_id"].(string); strings.HasPrefix(id, "tokend-") { // one that was made
			delete(e, "request_id")
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, strings.NewReplacer(replace...).Replace(string(text)))
	}
	return list
}

func TestAudit_EveryIssuanceAndEveryChange(t *testing.T) {
	f := newTenant(t)
	l, path := auditLog(t)
	demo := kept(t, f, "demo")
	demo.ActionsIDToken = true
	d := start(t, Config{Clients: []Client{demo, person(t, f, "web"), kept(t, f, "ci")}, Audit: l})
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", tokenPath, "", `"action":"token","audience":"https://api.example.com/","caller":"main","client":"demo","status":200`},
		{"GET", tokenPath + "?format=text", "", `"action":"token","audience":"https://api.example.com/","caller":"main","client":"demo","status":200`},
		{"GET", tokenPath + "?audience=https://other.example.com/", "", `"action":"token","audience":"https://other.example.com/","caller":"main","client":"demo","status":200`},
		{"HEAD", tokenPath, "", `"action":"token","audience":"https://api.example.com/","caller":"main","client":"demo","status":200`},
		{"GET", tokenPath + "?min_validity=soon", "", `"action":"token","caller":"main","client":"demo","error":"invalid_request","status":400`},
		{"GET", "/v1/clients/demo/actions-id-token?audience=a", "", `"action":"actions-id-token","audience":"a","caller":"main","client":"demo","status":200`},
		{"GET", "/v1/clients/web/token", "", `"action":"token","caller":"main","client":"web","error":"login_required","status":409`},
		{"GET", "/v1/clients/none/token", "", `"action":"token","caller":"main","client":"none","error":"unknown_client","status":404`},
		{"POST", "/v1/clients/demo/refresh", "", `"action":"refresh","audience":"https://api.example.com/","caller":"main","client":"demo","status":200`},
		{"POST", "/v1/clients/demo/login", `{"headless":true}`, `"action":"login","caller":"main","client":"demo","status":200`},
		{"POST", "/v1/clients/web/login", "", `"action":"login","caller":"main","client":"web","status":200`},
		{"POST", "/v1/clients/web/code", `{"code":"` + canaryCode + `","state":"x"}`, `"action":"code","caller":"main","client":"web","error":"invalid_state","status":400`},
		{"POST", "/v1/clients/demo/resume", "", `"action":"resume","caller":"main","client":"demo","status":200`},
		{"DELETE", "/v1/clients/demo/grant", "", `"action":"logout","caller":"main","client":"demo","status":200`},
		{"GET", proxyPath + "/x", "", `"action":"proxy","audience":"https://api.example.com/","caller":"main","client":"demo","error":"upstream_forbidden","method":"GET","status":403`},
	} {
		before := len(entries(t, path))
		d.call(t, c.method, c.path, c.body)
		got := entries(t, path)
		if len(got) != before+1 || got[before] != "{"+c.want+"}" {
			t.Errorf("%s %s: %q", c.method, c.path, got[before:])
		}
	}
	before := len(entries(t, path))
	state := d.begun(t, "web")
	d.raw(t, get("/callback?code="+canaryCode+"&state="+state, "HOST", ""))
	d.raw(t, get("/v1/clients/demo/token", "HOST", "\nAuthorization: Bearer "+ciKey))
	got := entries(t, path)[before:]
	if len(got) != 3 || got[1] != `{"action":"callback","client":"web","status":200}` ||
		got[2] != `{"action":"token","caller":"ci","client":"demo","error":"client_forbidden","status":403}` {
		t.Errorf("%q", got)
	}
}

// What anyone on the machine can send has no entry: it would push the others out.
func TestAudit_UnknownCallersFillNothing(t *testing.T) {
	f := newTenant(t)
	l, path := auditLog(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo"), person(t, f, "web")}, Audit: l})
	for _, request := range []string{
		get(tokenPath, "HOST", ""), get(tokenPath, "HOST", "\nAuthorization: Bearer wrong"), get(tokenPath, "evil.example", auth),
		get("/callback?code=a&state=b", "HOST", ""), get("/callback", "HOST", ""), get("/healthz", "HOST", ""),
	} {
		d.raw(t, request)
	}
	d.call(t, "GET", "/v1/clients", "") // issues nothing
	if got := entries(t, path); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

func TestAudit_RequestID(t *testing.T) {
	f := newTenant(t)
	l, path := auditLog(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo")}, Audit: l})
	for range 2 { // the second token is from memory
		d.ask(t, "GET", tokenPath, "req-1")
	}
	list := entries(t, path)
	if len(list) != 2 || !strings.Contains(list[0], `"request_id":"req-1"`) || !strings.Contains(list[1], `"request_id":"req-1"`) {
		t.Errorf("%q", list)
	}
}

func TestAudit_ProxiedCalls(t *testing.T) {
	f := newTenant(t)
	u := newUpstream(t, nil)
	down := httptest.NewServer(nil)
	down.Close()
	l, path := auditLog(t)
	d := start(t, Config{Clients: []Client{proxied(t, f, u.URL+"/api/", down.URL)}, Audit: l})
	d.call(t, "POST", proxyPath+"/calls%2F1?secret="+canaryCode, "body")
	d.raw(t, get(proxyPath+"/x?secret="+canaryCode, "HOST", auth+"\nTokend-Upstream: "+down.URL))
	d.call(t, "GET", proxyPath+"/../x", "")
	d.call(t, "GET", proxyPath+"/eyJnot/eyJhbGciOi.eyJpc3MiOi.SIGNATURE/x", "")
	want := []string{
		`{"action":"proxy","audience":"https://api.example.com/","caller":"main","client":"demo","host":"UP","method":"POST","path":"/api/calls%2F1","status":200}`,
		`{"action":"proxy","audience":"https://api.example.com/","caller":"main","client":"demo","error":"upstream_unreachable","host":"DOWN","method":"GET","path":"/x","status":502}`,
		`{"action":"proxy","audience":"https://api.example.com/","caller":"main","client":"demo","error":"invalid_request","method":"GET","status":400}`,
		`{"action":"proxy","audience":"https://api.example.com/","caller":"main","client":"demo","host":"UP","method":"GET","path":"/api/eyJnot/(token)/x","status":200}`,
	}
	got := entries(t, path, strings.TrimPrefix(u.URL, "http://"), "UP", strings.TrimPrefix(down.URL, "http://"), "DOWN")
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestAudit_Upgrade(t *testing.T) {
	u := newUpstream(t, webSocket(make(chan http.Header, 2)))
	l, path := auditLog(t)
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), u.URL)}, Audit: l})
	c, r := d.pipe(t, get(proxyPath+"/ws", "HOST", auth+handshake))
	defer func() { _ = c.Close() }()
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, " 101 ") {
		t.Fatalf("%q, %v", line, err)
	}
	if got := entries(t, path); len(got) != 1 || !strings.Contains(got[0], `"path":"/ws","status":101`) {
		t.Errorf("%q", got)
	}
}

func TestAudit_SocketHasProcess(t *testing.T) {
	l, path := auditLog(t)
	socket := socket(t)
	start(t, Config{Clients: []Client{kept(t, newTenant(t), "demo")}, Audit: l}, socket)
	c, err := net.Dial("unix", socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if a := exchange(t, c, get(tokenPath, "localhost", "")); a.StatusCode != 200 {
		t.Fatal(a.StatusCode)
	}
	want := fmt.Sprintf(`"caller":"socket","client":"demo","pid":%d,"status":200,"uid":%d}`, os.Getpid(), os.Geteuid())
	if got := entries(t, path); len(got) != 1 || !strings.HasSuffix(got[0], want) {
		t.Errorf("%q", got)
	}
}

// checkedWriter calls check before the first byte of an answer.
type checkedWriter struct {
	http.ResponseWriter
	check func()
}

func (w *checkedWriter) WriteHeader(code int) {
	w.check()
	w.ResponseWriter.WriteHeader(code)
}

func (w *checkedWriter) Write(b []byte) (int, error) {
	w.check()
	return w.ResponseWriter.Write(b)
}

// A service that is killed after an answer has written its entry.
func TestAudit_IsWrittenBeforeTheAnswer(t *testing.T) {
	l, path := auditLog(t)
	cl := kept(t, newTenant(t), "demo")
	d, err := New(Config{Clients: []Client{cl}, Keys: []Key{{Name: "main", Secret: mainKey}}, Audit: l})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 2; n++ { // the second one is from memory
		checks := 0
		w := &checkedWriter{httptest.NewRecorder(), func() {
			checks++
			if got := entries(t, path); len(got) != n {
				t.Errorf("answer %d begins with %d entries", n, len(got))
			}
		}}
		d.handler.ServeHTTP(w, benchRequest())
		if checks == 0 {
			t.Error("no answer")
		}
		if _, err := cl.Get(t.Context(), flow.Request{}); err != nil {
			t.Fatal(err)
		}
	}
}

// A log that cannot be written stops no token, and /readyz says so.
func TestAudit_Degraded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	var log syncBuffer
	l, err := audit.Open(audit.Config{Path: path, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	d := start(t, Config{Clients: []Client{kept(t, newTenant(t), "demo")}, Audit: l})
	if a := d.call(t, "GET", "/readyz", ""); a.body != `{"status":"ready"}` {
		t.Error(a.body)
	}
	if err := errors.Join(l.Close(), os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if a := d.call(t, "GET", tokenPath, ""); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if !strings.Contains(log.String(), `\"client\":\"demo\"`) {
		t.Errorf("the entry is nowhere: %s", &log)
	}
	explained(t, log.String())
	noCanary(t, "the log", log.String())
	a := d.call(t, "GET", "/readyz", "")
	for _, want := range []string{`{"status":"degraded","audit":{"since":"`, `is not a regular file","hint":"`, `"missing":1}`} {
		if !strings.Contains(a.body, want) || a.StatusCode != 200 {
			t.Errorf("%d %s lacks %s", a.StatusCode, a.body, want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if a := d.call(t, "GET", "/readyz", ""); a.body != `{"status":"ready"}` {
		t.Error(a.body)
	}
	if got := entries(t, path); len(got) != 1 || got[0] != `{"action":"gap","missing":1}` {
		t.Errorf("%q", got)
	}
}

// A handler that panics is in the audit log with its 500.
func TestAudit_Panic(t *testing.T) {
	l, path := auditLog(t)
	cl := kept(t, newTenant(t), "demo")
	d := start(t, Config{Clients: []Client{cl}, Audit: l})
	d.active.Load().clients["demo"].Client.Client = nil
	d.raw(t, get(tokenPath, "HOST", auth))
	d.active.Load().clients["demo"].Client.Client = cl.Client
	if got := entries(t, path); len(got) != 1 || !strings.Contains(got[0], `"error":"internal","status":500`) {
		t.Errorf("%q", got)
	}
}

func BenchmarkTokenReadAuditedHTTP(b *testing.B) {
	d := benchDaemon(b)
	d.audit, _ = auditLog(b)
	benchHTTP(b, d.handler)
}
