package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var bareLine = regexp.MustCompile(`listening (\S+)`)

// BenchmarkTokenRead: reads of a token that the service has in memory, with all
// guards, over 16 connections, compared with a gin handler that answers the same
// bytes and checks nothing. Both are processes of their own. They take turns of a
// few hundred requests, so that a busy moment of the machine affects both.
//
// rate-ratio is the service's requests per second divided by the bare handler's,
// cpu-ratio its CPU time per request divided by the bare handler's: the medians of
// all turns. The callers are the main API key without an audit log, and with an audit
// log, a limit of requests per second and metrics a key for one client and a token of
// an OpenID Connect issuer.
func BenchmarkTokenRead(b *testing.B) {
	bin := binaries(b)
	b.Run("key", func(b *testing.B) {
		s := startService(b, bin, "")
		compareReads(b, s, s.key)
	})
	const everything = "audit_file: HOME/audit.jsonl\ncaller_rate_limit: \"1000000\"\n"
	b.Run("key_of_caller_audited", func(b *testing.B) {
		const key = "key-of-the-caller-of-this-benchmark"
		file := filepath.Join(b.TempDir(), "key")
		if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
			b.Fatal(err)
		}
		compareReads(b, startService(b, bin, everything+"keys: {ci: {key_file: "+file+", clients: [demo]}}\n"), key)
	})
	b.Run("oidc_audited", func(b *testing.B) {
		s := startService(b, bin, everything+`callers: {ci: {oidc: [{issuer: "ISSUER", audience: "https://api.example.com/", subject: "demo@clients"}], clients: [demo]}}`+"\n")
		compareReads(b, s, clientToken(b, s.issuer))
	})
}

// compareReads compares reads with a bearer token with the bare handler.
func compareReads(b *testing.B, s service, bearer string) {
	b.Helper()
	request := "GET /v1/clients/demo/token HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAuthorization: Bearer " + bearer + "\r\n\r\n"
	const turn = 800 // requests
	service := newReader(b, s.address, request, s.cmd)
	service.read(b, turn) // at once: the service closes a connection without a request
	address, cmd := bareHandler(b, service.body)
	bare := newReader(b, address, request, cmd)
	bare.read(b, turn)
	var rate, cost []float64
	for b.Loop() {
		took, used := service.timed(b, turn)
		bareTook, bareUsed := bare.timed(b, turn)
		rate = append(rate, float64(bareTook)/float64(took))
		cost = append(cost, float64(used)/float64(bareUsed))
	}
	b.ReportMetric(median(rate), "rate-ratio")
	b.ReportMetric(median(cost), "cpu-ratio")
}

// clientToken returns a token of the tenant's client demo.
func clientToken(b *testing.B, issuer string) string {
	b.Helper()
	a, err := http.PostForm(issuer+"oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"demo"}, "client_secret": {"demo-secret"}, "audience": {"https://api.example.com/"},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(a.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		b.Fatal(a.Status, err)
	}
	return answer.AccessToken
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// bareHandler starts the bare handler with its body.
func bareHandler(b *testing.B, body []byte) (string, *exec.Cmd) {
	b.Helper()
	bin, input := filepath.Join(b.TempDir(), "bare"), filepath.Join(b.TempDir(), "body")
	build := exec.Command("go", "build", "-o", bin, "./bare")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(input, body, 0o600); err != nil {
		b.Fatal(err)
	}
	return server(b, bareLine, nil, "sh", "-c", `exec "$0" <"$1"`, bin, input)
}

// reader is a server process and 16 connections to it.
type reader struct {
	cmd     *exec.Cmd
	conns   []net.Conn
	request []byte
	body    []byte
	answer  int // bytes of an answer
}

func newReader(b *testing.B, address, request string, cmd *exec.Cmd) *reader {
	b.Helper()
	r := &reader{cmd: cmd, request: fmt.Appendf(nil, request, address)}
	for range 16 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		r.conns = append(r.conns, c)
	}
	for range 2 { // the first may have to wait for the token, and then has an id
		if _, err := r.conns[0].Write(r.request); err != nil {
			b.Fatal(err)
		}
		var raw bytes.Buffer
		resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(r.conns[0], &raw)), nil)
		if err != nil {
			b.Fatal(err)
		}
		r.body, err = io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(r.body, []byte("access_token")) {
			b.Fatal(resp.Status, err)
		}
		r.answer = raw.Len()
	}
	return r
}

// read makes n requests, the same number on each connection.
func (r *reader) read(b *testing.B, n int) {
	b.Helper()
	var wg sync.WaitGroup
	for _, c := range r.conns {
		wg.Go(func() {
			answer := make([]byte, r.answer)
			for range n / len(r.conns) {
				_, err := c.Write(r.request)
				if err == nil {
					_, err = io.ReadFull(c, answer)
				}
				if err == nil && !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
					err = fmt.Errorf("answer %.40q", answer)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// timed is read with the time that passed, and the CPU time that the server used.
func (r *reader) timed(b *testing.B, n int) (took, used time.Duration) {
	b.Helper()
	before, began := r.cpu(b), time.Now()
	r.read(b, n)
	took = time.Since(began)
	return took, r.cpu(b) - before
}

// cpu returns the CPU time of the server's threads, in nanoseconds by the scheduler.
func (r *reader) cpu(b *testing.B) time.Duration {
	b.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", r.cmd.Process.Pid))
	if err != nil || len(files) == 0 {
		b.Fatal("no CPU times of the server in /proc: ", err)
	}
	var sum time.Duration
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		var n int64
		if _, err := fmt.Sscan(string(text), &n); err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(n)
	}
	return sum
}
