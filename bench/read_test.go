package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
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
// few thousand requests, so that a busy moment of the machine affects both.
//
// rate-ratio is the service's requests per second divided by the bare handler's,
// cpu-ratio its CPU time per request divided by the bare handler's: the medians of
// all turns.
func BenchmarkTokenRead(b *testing.B) {
	s := startService(b, binaries(b))
	request := "GET /v1/clients/demo/token HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAuthorization: Bearer " + s.key + "\r\n\r\n"
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
