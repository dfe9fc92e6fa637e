package main

import (
	"errors"
	"io"
	"io/fs"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/store"
	"example.com/tokend/pkg/flow"
)

// doctorCase spoils a place, or does not, and says what a check finds then.
type doctorCase struct {
	name   string
	spoil  func(t *testing.T, p *place)
	check  string
	result flow.Result
	text   string // in the finding's text
	hint   string // in its hint
	code   int
}

// set is a spoiler that sets variables.
func set(vars ...string) func(*testing.T, *place) {
	return func(t *testing.T, _ *place) { setenv(t, vars...) }
}

func fine(*testing.T, *place) {}

var localCases = []doctorCase{
	{"good", fine, "settings", "ok", "clients demo", "", 0},
	{"unknown variable", set("TOKEND_ISUER=x"), "settings", "problem", "unknown variable TOKEND_ISUER", "unset it", 78},
	{"both forms", set("TOKEND_CLIENT_DEMO_CLIENT_SECRET_FILE=/x"), "settings", "problem", "client demo: both client_secret and client_secret_file are set", "set one of them", 78},
	{"open secret file", func(t *testing.T, p *place) {
		unset(t, "TOKEND_CLIENT_DEMO_CLIENT_SECRET")
		setenv(t, "TOKEND_CLIENT_DEMO_CLIENT_SECRET_FILE="+write(t, filepath.Join(p.home, "secret"), canarySecret, 0o644))
	}, "settings", "problem", "is open to everyone (mode 0644)", "chmod 600", 78},
	{"wrong client", set("TOKEND_CLIENT_DEMO_ISSUER=http://a.example/"), "settings", "problem", `issuer "http://a.example/" is plain HTTP`, "use https://", 78},
	{"a caller's environment", func(t *testing.T, p *place) {
		p.service(t, buildVersion(), `{"client":"demo","state":"ready"}`)
		unset(t, "TOKEND_CLIENTS")
		for _, name := range []string{"ISSUER", "CLIENT_ID", "CLIENT_SECRET", "AUDIENCE"} {
			unset(t, "TOKEND_CLIENT_DEMO_"+name)
		}
	}, "settings", "warning", "no client is configured here; the service at http://127.0.0.1:", "with the service's variables", 0},

	{"to be made", fine, "api key", "ok", "makes one at its first start", "", 0},
	{"set", set("TOKEND_API_KEY=" + canaryKey), "api key", "ok", "it is set", "", 0},
	{"short", set("TOKEND_API_KEY=CANARY"), "api key", "skipped", "its setting is wrong", "", 78},
	{"none needed", set("TOKEND_LISTEN=off"), "api key", "skipped", "no TCP listener", "", 78},
	{"wrong", set("TOKEND_API_KEY_FILE=/dev/null"), "api key", "skipped", "its setting is wrong", "", 78},
	{"wrong too", set("TOKEND_API_KEY=short"), "settings", "problem", "TOKEND_API_KEY has 5 characters", "openssl rand", 78},

	{"good", fine, "socket path", "ok", "tokend.sock", "", 0},
	{"off", set("TOKEND_SOCKET=off"), "socket path", "skipped", "no socket", "", 0},
	{"open directory", func(t *testing.T, p *place) {
		write(t, filepath.Join(p.home, "run", "other"), "", 0o600)
		if err := os.Chmod(filepath.Join(p.home, "run"), 0o755); err != nil {
			t.Fatal(err)
		}
		setenv(t, "TOKEND_SOCKET="+filepath.Join(p.home, "run/s"))
	}, "socket path", "problem", "run is open to others (mode 0755)", "chmod 700", 78},
	{"a file", func(t *testing.T, p *place) {
		setenv(t, "TOKEND_SOCKET="+write(t, filepath.Join(p.home, "run", "s"), "", 0o600))
	}, "socket path", "problem", "is not a socket", "set TOKEND_SOCKET", 78},
	{"no directory", set("TOKEND_SOCKET=/dev/null/s"), "socket path", "problem", "/dev/null is not a directory", "set TOKEND_SOCKET", 78},
	{"too long", set("TOKEND_SOCKET=/" + strings.Repeat("x", 103)), "socket path", "problem", "has 104 bytes", "shorter", 78},
	{"open socket", func(t *testing.T, p *place) {
		path := filepath.Join(p.home, "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		if err := errors.Join(os.Chmod(path, 0o666), os.Chmod(p.home, 0o700)); err != nil {
			t.Fatal(err)
		}
		setenv(t, "TOKEND_SOCKET="+path, "TOKEND_ADDR=unix:/nonexistent")
	}, "socket path", "problem", "is open to others (mode 0666)", "chmod 600", 78},

	{"to be made", fine, "store", "ok", "makes it at its first start", "", 0},
	{"in use", runs, "store", "ok", "opens with its keyset", "", 0},
	{"keyset gone", func(t *testing.T, p *place) {
		makeStore(t, p.home, "keyset.json")
		if err := os.Remove(filepath.Join(p.home, ".local/state/tokend/keyset.json")); err != nil {
			t.Fatal(err)
		}
	}, "store", "problem", "there is no keyset file", "restore the keyset file", 78},
	{"another keyset", func(t *testing.T, p *place) {
		makeStore(t, p.home, "keyset.json")
		if _, err := store.LoadOrCreateKeyset(t.Context(), filepath.Join(p.home, "other.json"), "sqlite::memory:", store.Options{}); err != nil {
			t.Fatal(err)
		}
		setenv(t, "TOKEND_STORE_KEY_FILE="+filepath.Join(p.home, "other.json"))
	}, "store", "problem", "sealed with another keyset", "use the keyset", 78},
	{"damaged", func(t *testing.T, p *place) {
		if err := os.Truncate(makeStore(t, p.home, "keyset.json"), 100); err != nil {
			t.Fatal(err)
		}
	}, "store", "problem", "damaged", "restore a backup", 78},
	{"store of no kind", set("TOKEND_STORE=redis:x"), "settings", "problem", `scheme "redis" is not supported`, "sqlite:", 78},
	{"password without a database", set("TOKEND_STORE_PASSWORD=" + canaryKey), "settings", "problem", "no effect with a sqlite store", "remove it", 78},
	{"database down", set("TOKEND_STORE=postgres://u@127.0.0.1:1/db"), "store", "problem", "127.0.0.1:1", "check that the database runs", 75},
	{"unknown parameter", set("TOKEND_STORE=postgres://u@h/db?sslmode=no"), "store", "problem", "sslmode", "sslmode=verify-full", 78},
	{"no keyset", set("TOKEND_STORE_KEY=" + canaryKey), "keyset", "problem", "neither Tink JSON nor base64", "put back the keyset", 78},
	{"setting is wrong", set("TOKEND_STORE_KEY=x", "TOKEND_STORE_KEY_FILE=/x"), "store", "skipped", "its setting is wrong", "", 78},

	{"good", fine, "directory", "ok", "can be written", "", 0},
	{"in memory", set("TOKEND_STORE=sqlite::memory:"), "directory", "skipped", "has none", "", 0},
	{"read-only", func(_ *testing.T, p *place) {
		p.machine.Writable = func(string) error { return errors.New("read-only file system") }
	}, "directory", "problem", "not writable: read-only file system", "TOKEND_STORE", 78},

	{"good", fine, "owner", "ok", "user 1000", "", 0},
	{"another's", func(t *testing.T, p *place) {
		makeStore(t, p.home, "keyset.json")
		p.machine.Owner = func(fs.FileInfo) (int, bool) { return 0, true }
	}, "owner", "problem", "state/tokend belongs to user 0, and this runs as user 1000", "run tokend as user 0", 78},
	{"another's, as root", func(t *testing.T, p *place) {
		makeStore(t, p.home, "keyset.json")
		p.machine.UID = 0
	}, "owner", "problem", "state/tokend belongs to user 1000, and this runs as user 0", "run tokend as user 1000", 78},
	{"unknown", func(t *testing.T, p *place) {
		makeStore(t, p.home, "keyset.json")
		p.machine.Owner = func(fs.FileInfo) (int, bool) { return 0, false }
	}, "owner", "ok", "user 1000", "", 0},

	{"good", fine, "directories", "ok", "are known", "", 0},
	{"relative", set("XDG_STATE_HOME=state"), "directories", "warning", `XDG_STATE_HOME is "state", no absolute path`, "absolute", 0},
	{"no home", func(t *testing.T, p *place) {
		unset(t, "HOME")
		setenv(t, "TOKEND_STORE=sqlite:"+p.home+"/t.db", "TOKEND_SOCKET=off", "TOKEND_STORE_KEY_FILE="+p.home+"/k", "TOKEND_API_KEY="+canaryKey)
	}, "directories", "warning", "HOME is not set", "set HOME", 0},

	{"no home", func(t *testing.T, p *place) {
		unset(t, "HOME")
		setenv(t, "TOKEND_STORE=sqlite:"+p.home+"/t.db", "TOKEND_SOCKET=off", "TOKEND_STORE_KEY_FILE="+p.home+"/k")
	}, "api key", "warning", "no default place", "set TOKEND_API_KEY", 0},

	{"good", fine, "disk", "ok", "1024 MiB left at", "", 0},
	{"nearly full", space(100<<20, math.MaxUint64, true), "disk", "warning", "100 MiB left", "free some space", 0},
	{"full", space(1<<20, math.MaxUint64, true), "disk", "problem", "1 MiB left", "free some space", 78},
	{"no inodes", space(1<<30, 3, true), "disk", "problem", "room for 3 more files", "free some space", 78},
	{"untold", space(0, 0, false), "disk", "skipped", "not known on this system", "", 0},

	{"good", fine, "open files", "ok", "1024 at once", "", 0},
	{"no limit", files(math.MaxUint64, true), "open files", "ok", "no limit", "", 0},
	{"few", files(64, true), "open files", "warning", "at most 64 files", "ulimit -n", 0},
	{"untold", files(0, false), "open files", "skipped", "not known on this system", "", 0},

	{"none", fine, "proxy", "ok", "asked directly", "", 0},
	{"for the tenant", set("https_proxy=http://user:"+canaryKey+"@proxy.example:3128", "TOKEND_CLIENT_DEMO_ISSUER=https://tenant.example/", "NO_PROXY=localhost,127.0.0.1"), "proxy", "ok", "tenant.example through proxy.example:3128", "", 75},
	{"no URL", set("http_proxy=http://[::1", "no_proxy=*"), "proxy", "warning", "HTTP_PROXY is not a URL", "http://host:port", 0},

	{"none", fine, "loopback proxy", "ok", "no proxy is set", "", 0},
	{"all", set("http_proxy=http://user:" + canaryKey + "@proxy.example:3128"), "loopback proxy", "warning", "for localhost and 127.0.0.1 to the proxy proxy.example:3128 (http_proxy)", "--noproxy '*'", 0},
	{"one", set("ALL_PROXY=proxy.example:3128", "no_proxy=example.com, localhost"), "loopback proxy", "warning", "for 127.0.0.1 to the proxy proxy.example:3128 (ALL_PROXY)", "--noproxy '*'", 0},
	{"spared", set("http_proxy=http://proxy.example:3128", "NO_PROXY=127.0.0.0/8,localhost"), "loopback proxy", "ok", "without http_proxy", "", 0},
	{"all spared", set("http_proxy=http://proxy.example:3128", "no_proxy=*"), "loopback proxy", "ok", "without http_proxy", "", 0},
}

func space(bytes, inodes uint64, known bool) func(*testing.T, *place) {
	return func(_ *testing.T, p *place) {
		p.machine.Space = func(string) (uint64, uint64, bool) { return bytes, inodes, known }
	}
}

func files(limit uint64, known bool) func(*testing.T, *place) {
	return func(_ *testing.T, p *place) { p.machine.Files = func() (uint64, bool) { return limit, known } }
}

// makeStore makes the default store with a keyset, and returns its path.
func makeStore(t *testing.T, home, keyset string) string {
	t.Helper()
	state := filepath.Join(home, ".local/state/tokend")
	url := "sqlite:" + filepath.Join(state, "tokend.db")
	keys, err := store.LoadOrCreateKeyset(t.Context(), filepath.Join(state, keyset), url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), url, store.Options{Keys: keys})
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(state, "tokend.db")
}

// answersOnly is a service at TOKEND_ADDR that reports these members of
// client demo, together with its name.
func answersOnly(members string) func(*testing.T, *place) {
	return func(t *testing.T, p *place) {
		p.service(t, buildVersion(), `{"client":"demo",`+members+`}`)
		p.program.now = func() time.Time { return time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC) }
	}
}

// listens makes a program listen where tokend would.
func listens(h http.HandlerFunc) func(*testing.T, *place) {
	return func(t *testing.T, _ *place) {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		setenv(t, "TOKEND_LISTEN="+s.Listener.Addr().String())
	}
}

var serviceCases = []doctorCase{
	{"none", fine, "service", "warning", "tokend does not run: nothing answers at ", "tokend serve", 0},
	{"none at the address", set("TOKEND_ADDR=unix:/nonexistent/s"), "service", "problem", "nothing answers at unix:/nonexistent/s", "TOKEND_ADDR", 69},
	{"a wrong address", set("TOKEND_ADDR=ftp://tokend.example"), "address", "problem", "TOKEND_ADDR: the address is not http://", "http://127.0.0.1:8484", 78},
	{"an unknown name", set("TOKEND_ADDR=https://tokend.invalid", "TOKEND_API_KEY=canary-0123456789abcdef"), "address", "problem", "the name of https://tokend.invalid cannot be resolved", "correct TOKEND_ADDR", 69},
	{"another authority", func(t *testing.T, _ *place) {
		s := httptest.NewTLSServer(http.NotFoundHandler())
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		t.Cleanup(s.Close)
		setenv(t, "TOKEND_ADDR="+s.URL)
	}, "address", "problem", "the certificate of https://127.0.0.1:", "SSL_CERT_FILE", 78},
	{"at one of two", func(t *testing.T, p *place) { runs(t, p); t.Setenv("TOKEND_LISTEN", "127.0.0.1:"+freePort(t)) }, "service", "warning", "tokend runs, but nothing answers at 127.0.0.1:", "same TOKEND_SOCKET and TOKEND_LISTEN", 0},
	{"nowhere to look", set("TOKEND_SOCKET=off", "TOKEND_LISTEN=127.0.0.1:0"), "service", "skipped", "chooses its port at the start", "", 0},
	{"runs", runs, "socket", "ok", "tokend answers at", "", 0},
	{"runs", runs, "listener", "ok", "tokend answers at 127.0.0.1:", "", 0},
	{"an address", answersOnly(`"state":"ready"`), "address", "ok", "tokend answers at http://127.0.0.1:", "", 0},
	{"another program", listens(http.NotFound), "listener", "problem", "is not tokend", "stop that program, or set TOKEND_LISTEN", 69},
	{"another program's 200", listens(func(http.ResponseWriter, *http.Request) {}), "listener", "problem", "is not tokend", "stop that program", 69},
	{"another program's health", listens(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"status":"UP"}`)) }), "listener", "problem", "is not tokend", "stop that program", 69},
	{"another program there", func(t *testing.T, p *place) { setenv(t, "TOKEND_ADDR="+p.tenant.URL) }, "address", "problem", "is not tokend", "TOKEND_ADDR", 69},
	{"another program's", func(t *testing.T, p *place) {
		path := filepath.Join(p.home, "s")
		deaf(t, path)
		setenv(t, "TOKEND_SOCKET="+path)
	}, "socket", "problem", "is not tokend", "TOKEND_SOCKET", 69},
	{"another program's address", func(t *testing.T, p *place) {
		path := filepath.Join(p.home, "s")
		deaf(t, path)
		setenv(t, "TOKEND_ADDR=unix:"+path)
	}, "address", "problem", "is not tokend", "TOKEND_ADDR", 69},

	{"runs", runs, "api key", "ok", "the service accepts it", "", 0},
	{"none", fine, "api key", "skipped", "does not run", "", 0},
	{"socket alone", func(t *testing.T, p *place) {
		runs(t, p)
		setenv(t, "TOKEND_ADDR=unix:"+filepath.Join(p.home, ".local/state/tokend/tokend.sock"))
	}, "api key", "skipped", "the socket needs none", "", 0},
	{"wrong", func(t *testing.T, p *place) {
		answersOnly(`"state":"ready"`)(t, p)
		setenv(t, "TOKEND_API_KEY=another-key-of-another")
	}, "api key", "problem", "rejects this key", "set TOKEND_API_KEY or TOKEND_API_KEY_FILE", 77},
	{"missing", func(t *testing.T, p *place) { answersOnly(`"state":"ready"`)(t, p); unset(t, "TOKEND_API_KEY") }, "api key", "warning", "no API key is set for callers", "set TOKEND_API_KEY", 0},
	{"nonsense", func(t *testing.T, p *place) { p.service(t, "", `"x"`) }, "api key", "problem", "is not a list of clients", "version", 69},

	{"the same", runs, "version", "ok", "", "", 0},
	{"to be made", func(t *testing.T, p *place) {
		setenv(t, "TOKEND_AUDIT_FILE="+filepath.Join(p.home, "none", "audit.jsonl"))
	}, "audit log", "ok", "can be written", "", 0},
	{"there", func(t *testing.T, p *place) {
		setenv(t, "TOKEND_AUDIT_FILE="+write(t, filepath.Join(p.home, "audit", "audit.jsonl"), "", 0o600))
	}, "audit log", "ok", "can be written", "", 0},
	{"a directory", func(t *testing.T, p *place) {
		write(t, filepath.Join(p.home, "audit", "audit.jsonl", "x"), "", 0o600)
		setenv(t, "TOKEND_AUDIT_FILE="+filepath.Join(p.home, "audit", "audit.jsonl"))
	}, "audit log", "problem", "is not a regular file", "name the file itself", 78},
	{"degraded", func(t *testing.T, p *place) {
		p.ready = `{"status":"degraded","audit":{"since":"2026-01-02T03:04:05Z","reason":"no space left","hint":"free some","missing":7}}`
		p.service(t, buildVersion(), `{"client":"demo","state":"ready"}`)
	}, "audit log", "problem", "degraded since 2026-01-02T03:04:05Z: no space left; 7 entries are in the service's log only", "free some", 69},
	{"store lost", func(t *testing.T, p *place) {
		p.ready = `{"error":"store_unavailable","error_description":"the store was deleted or replaced while it was in use","hint":"restart tokend"}`
		p.service(t, "", `{"client":"demo","state":"ready"}`)
	}, "service", "problem", "the running service is not ready: the store was deleted or replaced while it was in use", "restart tokend", 69},
	{"another", func(t *testing.T, p *place) { p.service(t, "v0.0.1", "") }, "version", "warning", "the service is v0.0.1", "restart", 0},
	{"older", func(t *testing.T, p *place) { p.service(t, "", "") }, "version", "warning", "the service is older", "restart", 0},
	{"none", fine, "version", "skipped", "does not run", "", 0},

	{"runs", runs, "clients", "ok", "the service has demo", "", 0},
	{"another", func(t *testing.T, p *place) { p.service(t, "", `{"client":"ci","state":"ready"}`) }, "clients", "warning", "does not serve this caller: demo", "restart", 0},
	{"none", fine, "clients", "skipped", "does not list its clients", "", 0},
}

// deaf is a program at a socket that hangs up on everybody.
func deaf(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
}

// runs starts tokend and leaves the variables as a caller has them.
func runs(t *testing.T, _ *place) {
	setenv(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENT_DEMO_REDIRECT_URI=")
	s := serve(t)
	t.Setenv("TOKEND_LISTEN", s.tcp)
}
