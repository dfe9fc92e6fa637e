package referees_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const audience = "https://api.example.com/"

// tenant is a running mockauth0 with pages to log in on, reached over http
// and, as an issuer of its own, over https.
type tenant struct {
	t             *testing.T
	issuer, https string // slash at the end
	ca            string // file of the CA of https
	deliveries    int    // of logout tokens that wantDelivery has seen
}

// startTenant runs mockauth0 until the test ends. Variables come as NAME=value.
func startTenant(t *testing.T, env ...string) *tenant {
	t.Helper()
	cmd := exec.Command(mockauth0, "serve")
	cmd.Env = append(clean(), "MOCKAUTH0_LISTEN=127.0.0.1:0", "MOCKAUTH0_TLS_LISTEN=127.0.0.1:0",
		"MOCKAUTH0_LOGIN=form", "MOCKAUTH0_DEVICE_INTERVAL=1s")
	cmd.Env = append(cmd.Env, env...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	ten := &tenant{t: t}
	ten.readIssuers(stderr)
	ten.ca = filepath.Join(t.TempDir(), "ca.pem")
	pem, err := exec.CommandContext(t.Context(), mockauth0, "ca", "--url", ten.issuer).Output()
	if err != nil {
		t.Fatal("mockauth0 ca: ", err)
	}
	if err := os.WriteFile(ten.ca, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	return ten
}

// clean is the environment without what would change the programs.
func clean() []string {
	var out []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "MOCKAUTH0_") && !strings.HasPrefix(name, "AUTH0_") && !strings.HasPrefix(name, "NODE_") &&
			!strings.HasSuffix(strings.ToLower(name), "_proxy") {
			out = append(out, kv)
		}
	}
	return out
}

var issuerLine = regexp.MustCompile(`issuer (https?://\S+),`)

// readIssuers waits until the tenant has said both, then reads on so that it
// never blocks on its log.
func (ten *tenant) readIssuers(stderr io.Reader) {
	lines := bufio.NewScanner(stderr)
	var said strings.Builder
	for (ten.issuer == "" || ten.https == "") && lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if m := issuerLine.FindStringSubmatch(lines.Text()); m != nil && strings.HasPrefix(m[1], "https:") {
			ten.https = m[1]
		} else if m != nil {
			ten.issuer = m[1]
		}
	}
	if ten.https == "" {
		ten.t.Fatalf("mockauth0 does not serve:\n%s", &said)
	}
	go func() {
		for lines.Scan() { //nolint:revive // until the process ends
		}
	}()
}

// at returns the issuer of a scheme.
func (ten *tenant) at(scheme string) string {
	if scheme == "https" {
		return ten.https
	}
	return ten.issuer
}

// control calls the surface under /_mock/ and reads its answer.
func (ten *tenant) control(method, path string, in, out any) {
	ten.t.Helper()
	body := []byte{}
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			ten.t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, ten.issuer+"_mock/"+path, bytes.NewReader(body))
	if err != nil {
		ten.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		ten.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		ten.t.Fatalf("%s /_mock/%s: %s %s %v", method, path, res.Status, b, err)
	}
	if out != nil {
		if err := json.Unmarshal(b, out); err != nil {
			ten.t.Fatal(err)
		}
	}
}

// object is JSON in the Management API's words.
type object = map[string]any

// addClient adds an application: a regular web application by default.
func (ten *tenant) addClient(id string, settings object) {
	ten.t.Helper()
	c := object{
		"client_id": id, "name": id, "app_type": "regular_web", "client_secret": id + "-secret",
		"token_endpoint_auth_method": "client_secret_post", "grant_types": []string{"authorization_code", "refresh_token"},
		"refresh_token": object{"rotation_type": "rotating", "expiration_type": "non-expiring"},
	}
	for k, v := range settings {
		c[k] = v
	}
	ten.control(http.MethodPost, "clients", c, nil)
}

// advance moves the tenant's clock.
func (ten *tenant) advance(d time.Duration) {
	ten.t.Helper()
	ten.control(http.MethodPost, "clock", object{"advance": d.String()}, nil)
}

// entry is a line of the tenant's journal.
type entry struct {
	Method, Path, Endpoint, Grant, Reason string
	ClientID                              string `json:"client_id"`
	Status                                int
}

// journal returns what a client did at an endpoint, oldest first; an empty
// name selects all.
func (ten *tenant) journal(endpoint, client string) []entry {
	ten.t.Helper()
	var out struct{ Requests []entry }
	ten.control(http.MethodGet, "requests?endpoint="+endpoint+"&client_id="+client, nil, &out)
	return out.Requests
}

// wantCalls compares a client's calls of the token endpoint: the grant, the
// status and, of a refusal, its reason. A device that asks while the person is
// on the way does not count.
func (ten *tenant) wantCalls(client string, want ...string) {
	ten.t.Helper()
	got := []string{}
	for _, e := range ten.journal("token", client) {
		if strings.HasPrefix(e.Reason, "authorization_pending") || strings.HasPrefix(e.Reason, "slow_down") {
			continue
		}
		line := strings.TrimPrefix(e.Grant, "urn:ietf:params:oauth:grant-type:") + " " + strconv.Itoa(e.Status)
		if e.Reason != "" {
			line += " " + e.Reason
		}
		got = append(got, line)
	}
	if !slices.Equal(got, want) {
		ten.t.Errorf("%s called the token endpoint:\n\t%s\nnot:\n\t%s", client, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// wantDelivery waits for the next logout token that the tenant sends to a client, and
// compares the client's answer.
func (ten *tenant) wantDelivery(client string, status int) {
	ten.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-tick.C {
		sent := ten.journal("backchannel_logout", client)
		if len(sent) == ten.deliveries {
			continue
		}
		if ten.deliveries++; len(sent) != ten.deliveries || sent[len(sent)-1].Status != status {
			ten.t.Errorf("logout tokens: %+v; the last one's answer is not %d", sent, status)
		}
		return
	}
	ten.t.Errorf("no logout token was sent to %s", client)
}

// What the journal says of the refusals that the referees see.
const (
	codeUsed       = "403 invalid_grant: the code was used before"
	refreshRevoked = "403 invalid_grant: the family is revoked: revoked by the client"
	refreshReused  = "403 invalid_grant: reused: a rotated refresh token was used again (ferrt)"
)

// family is a family of refresh tokens.
type family struct {
	ClientID   string `json:"client_id"`
	Generation int
	Revoked    string
}

func (ten *tenant) families() []family {
	ten.t.Helper()
	var out struct{ Families []family }
	ten.control(http.MethodGet, "families", nil, &out)
	return out.Families
}
