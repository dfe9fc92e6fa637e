package main

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/doctor"
	"example.com/tokend/pkg/flow"
)

// place is what a doctor's patient is made of: a tenant that refuses nothing, a
// machine with room, a free port; a case spoils a part of it.
type place struct {
	ready   string // what the service answers at /readyz; "": that it is ready
	home    string
	tenant  *httptest.Server
	machine doctor.Machine
	program program

	authorize string        // of the answer of /authorize: its query
	page      string        // instead: a page with 403
	ahead     time.Duration // of the tenant's clock
	without   string        // a member that the discovery document lacks
	issuer    string        // that the discovery document names; "": the tenant's
	keyless   bool          // no key in the key set
	named     bool          // callbacks name the issuer
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{home: clean(t), authorize: "error=login_required", machine: doctor.Machine{
		UID:      1000,
		Owner:    func(fs.FileInfo) (int, bool) { return 1000, true },
		Writable: func(string) error { return nil },
		Space:    func(string) (uint64, uint64, bool) { return 1 << 30, math.MaxUint64, true },
		Files:    func() (uint64, bool) { return 1024, true },
	}}
	p.program = program{stdin: strings.NewReader(""), machine: &p.machine}
	for _, name := range []string{"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "NO_COLOR"} {
		unset(t, name)
	}
	p.tenant = httptest.NewServer(p.serveTenant(t))
	t.Cleanup(p.tenant.Close)
	setenv(t, "TOKEND_LISTEN=127.0.0.1:"+freePort(t), "TOKEND_CLIENTS=demo", "TOKEND_CLIENT_DEMO_ISSUER="+p.tenant.URL+"/",
		"TOKEND_CLIENT_DEMO_CLIENT_ID=the-id", "TOKEND_CLIENT_DEMO_AUDIENCE=https://api.example.com/", "TOKEND_CLIENT_DEMO_CLIENT_SECRET="+canarySecret)
	return p
}

func (p *place) serveTenant(t *testing.T) http.Handler {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	coordinate := base64.RawURLEncoding.EncodeToString
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		u := p.tenant.URL
		w.Header().Set("Date", time.Now().Add(p.ahead).UTC().Format(http.TimeFormat))
		doc := map[string]any{
			"issuer": cmp.Or(p.issuer, u+"/"), "authorization_endpoint": u + "/authorize", "token_endpoint": u + "/oauth/token", "jwks_uri": u + "/jwks",
		}
		if p.named {
			doc["authorization_response_iss_parameter_supported"] = true
		}
		delete(doc, p.without)
		_ = json.NewEncoder(w).Encode(doc)
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		if p.keyless {
			_, _ = io.WriteString(w, `{"keys":[]}`)
			return
		}
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","use":"sig","x":%q,"y":%q}]}`, coordinate(point[1:33]), coordinate(point[33:]))
	})
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		if p.page != "" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, p.page)
			return
		}
		http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?"+p.authorize, http.StatusFound)
	})
	mux.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("grant_type") == "client_credentials" {
			_, _ = io.WriteString(w, `{"access_token":"`+canaryToken+`","token_type":"Bearer","expires_in":86400}`)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"access_denied","error_description":"Unauthorized"}`)
	})
	return mux
}

// service is a tokend that tells of its clients what is given, as JSON.
func (p *place) service(t *testing.T, version, clients string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"status": "ok", "version": version})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if strings.Contains(p.ready, `"error"`) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, cmp.Or(p.ready, `{"status":"ready"}`))
	})
	mux.HandleFunc("GET /v1/clients", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+canaryKey {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"unauthorized","error_description":"unknown API key","hint":"set TOKEND_API_KEY or TOKEND_API_KEY_FILE to a key of the service; tokend key list shows those that are not revoked"}`)
			return
		}
		_, _ = io.WriteString(w, `{"clients":[`+clients+`]}`)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	setenv(t, "TOKEND_ADDR="+s.URL, "TOKEND_API_KEY="+canaryKey)
	return s
}

// freePort returns an unused port of this machine.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(tcpPort(l))
}

// examine runs doctor and returns what it found.
func (p *place) examine(t *testing.T, args ...string) (examined, output) {
	t.Helper()
	o := tokendWith(t, p.program, append([]string{"doctor", "--format", "json"}, args...)...)
	var e examined
	if err := json.Unmarshal([]byte(o.stdout), &e); err != nil {
		t.Fatalf("exit %d, stdout %q, stderr %q", o.code, o.stdout, o.stderr)
	}
	if o.stderr != "" {
		t.Errorf("stderr %q", o.stderr)
	}
	noCanary(t, "the report", o.stdout)
	return e, o
}

// of are the findings of a check.
func (e examined) of(check string) []doctor.Finding {
	var found []doctor.Finding
	for _, f := range e.Findings {
		if f.Check == check {
			found = append(found, f)
		}
	}
	return found
}

// exitOf is what the findings' exit code must be.
func exitOf(e examined) int {
	for _, class := range []flow.Class{flow.ClassConfig, classNoService, flow.ClassLoginRequired, flow.ClassBadResponse, flow.ClassUnreachable} {
		for _, f := range e.Findings {
			if f.Result == flow.ResultProblem && codeOfClass(f.Class) == codeOfClass(class) {
				return codeOfClass(class)
			}
		}
	}
	return 0
}
