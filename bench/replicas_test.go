package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/tokend/internal/store/postgres/pgtest"
)

// BenchmarkReplicas measures the refreshes per second through 1, 2 and 4 tokend on one
// PostgreSQL database, whose server syncs what it commits. A provider that needs 100 ms
// limits a replica, which sends at most eight requests to it at a time; one that needs no
// time shows what the processors can do. The metrics of one run: refreshes/s by replicas,
// and their ratio to one replica; processor time of tokend and of the database for a
// refresh; and how much of the machine's processors was idle.
func BenchmarkReplicas(b *testing.B) {
	bin := binaries(b)
	for _, delay := range []time.Duration{100 * time.Millisecond, 0} {
		b.Run(fmt.Sprintf("provider=%v", delay), func(b *testing.B) {
			p := newProvider(b, delay)
			for b.Loop() {
				one := 0.0
				for _, n := range []int{1, 2, 4} {
					r := startReplicas(b, bin, p.URL+"/", n).measure(b, 6*time.Second)
					if n == 1 {
						one = r.perSecond
					}
					name := strconv.Itoa(n) + "-replicas-"
					b.ReportMetric(r.perSecond, name+"refreshes/s")
					b.ReportMetric(r.perSecond/one, name+"ratio")
					b.ReportMetric(r.tokend, name+"tokend-cpu-ms")
					b.ReportMetric(r.database, name+"db-cpu-ms")
					b.ReportMetric(r.idle, name+"%idle")
				}
			}
		})
	}
}

// newProvider starts a token endpoint that rotates, takes that long and signs nothing.
func newProvider(b *testing.B, delay time.Duration) *httptest.Server {
	b.Helper()
	var made atomic.Int64
	mux := http.NewServeMux()
	p := httptest.NewServer(mux)
	b.Cleanup(p.Close)
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": p.URL + "/", "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"response_types_supported": []string{"code"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(delay)
		n := made.Add(1)
		answer(w, map[string]any{
			"access_token": fmt.Sprintf("access-token-%d-%s", n, strings.Repeat("x", 800)), "refresh_token": fmt.Sprintf("refresh-token-%d", n),
			"token_type": "Bearer", "expires_in": 86400,
		})
	})
	return p
}

// callersPerReplica is more than the eight requests that a replica sends at a time. Each
// of them has a client of its own.
const callersPerReplica = 16

// replicaSet is some tokend on one database.
type replicaSet struct {
	db   *pgtest.Cluster
	urls []string
	pids []int
}

const benchKey = "an-api-key-of-the-benchmark"

var tcpLine = regexp.MustCompile(`msg=listening network=tcp addr=(127\.0\.0\.1:\d+)`)

func startReplicas(b *testing.B, bin, issuer string, n int) *replicaSet {
	b.Helper()
	s := &replicaSet{db: pgtest.New(b, "fsync=on")}
	dir := b.TempDir()
	var file strings.Builder
	file.WriteString("clients:\n")
	for i := range n * callersPerReplica {
		fmt.Fprintf(&file, "  c%d:\n    issuer: %s\n    client_id: c%d\n    client_secret: the-secret\n    grant: refresh_token\n    refresh_token: seed-%d\n    scopes: [offline_access]\n    leeway: 30s\n", i, issuer, i, i)
	}
	config := filepath.Join(dir, "tokend.yaml")
	if err := os.WriteFile(config, []byte(file.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	for i := range n {
		home := filepath.Join(dir, strconv.Itoa(i))
		if err := os.MkdirAll(home, 0o700); err != nil {
			b.Fatal(err)
		}
		env := []string{
			"HOME=" + home, "XDG_STATE_HOME=" + home, "XDG_RUNTIME_DIR=" + home, "XDG_CONFIG_HOME=", "TOKEND_CONFIG=" + config, "TOKEND_API_KEY=" + benchKey,
			"TOKEND_LISTEN=127.0.0.1:0", "TOKEND_SOCKET=off", "TOKEND_STORE=" + s.db.DSN("postgres", "pool_max_conns=8"), "TOKEND_STORE_KEY_FILE=" + filepath.Join(dir, "keyset.json"),
		}
		addr, cmd := server(b, tcpLine, env, bin+"/tokend", "serve")
		s.urls, s.pids = append(s.urls, "http://"+addr), append(s.pids, cmd.Process.Pid)
	}
	return s
}

// rates are the figures of a run.
type rates struct{ perSecond, tokend, database, idle float64 }

// measure lets all callers refresh for some time, after each has had a token.
func (s *replicaSet) measure(b *testing.B, d time.Duration) rates {
	b.Helper()
	s.refresh(b, time.Now()) // once
	used, database := s.used(b)
	idle, total := processors(b)
	began := time.Now()
	n := s.refresh(b, began.Add(d))
	took := time.Since(began).Seconds()
	usedAfter, databaseAfter := s.used(b)
	idleAfter, totalAfter := processors(b)
	return rates{
		perSecond: n / took, tokend: (usedAfter - used) * 1000 / n, database: (databaseAfter - database) * 1000 / n,
		idle: (idleAfter - idle) / (totalAfter - total) * 100,
	}
}

// refresh lets all callers refresh until then, each at least once, and returns how often.
func (s *replicaSet) refresh(b *testing.B, until time.Time) float64 {
	b.Helper()
	var refreshes atomic.Int64
	var callers sync.WaitGroup
	c := client(b)
	for i := range len(s.urls) * callersPerReplica {
		callers.Go(func() {
			for again := true; again; again = time.Now().Before(until) {
				req, err := http.NewRequest(http.MethodPost, s.urls[i%len(s.urls)]+"/v1/clients/c"+strconv.Itoa(i)+"/refresh", nil) //nolint:noctx // a benchmark
				if err != nil {
					b.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+benchKey)
				res, err := c.Do(req)
				if err != nil {
					b.Error(err)
					return
				}
				body, _ := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if res.StatusCode != http.StatusOK {
					b.Errorf("%s %s", res.Status, body)
					return
				}
				refreshes.Add(1)
			}
		})
	}
	callers.Wait()
	return float64(refreshes.Load())
}

// used returns the processor time of all tokend, and of the database with its sessions.
func (s *replicaSet) used(b *testing.B) (tokend, database float64) {
	b.Helper()
	for _, pid := range s.pids {
		tokend += cpuOf(b, pid)
	}
	line, err := os.ReadFile(filepath.Join(s.db.Socket(), "data", "postmaster.pid"))
	if err != nil {
		b.Fatal(err)
	}
	first, _, _ := strings.Cut(string(line), "\n")
	children, err := os.ReadFile("/proc/" + first + "/task/" + first + "/children")
	if err != nil {
		b.Skip("processor time is in /proc")
	}
	for _, pid := range append(strings.Fields(string(children)), first) {
		n, err := strconv.Atoi(pid)
		if err != nil {
			b.Fatal(err)
		}
		database += cpuOf(b, n)
	}
	return tokend, database
}

// processors returns the idle and the whole time of the machine's processors.
func processors(b *testing.B) (idle, total float64) {
	b.Helper()
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		b.Skip("processor time is in /proc")
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, text := range strings.Fields(line)[1:9] { // user to steal, proc_stat(5)
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			b.Fatal(err)
		}
		total += n
		if i == 3 || i == 4 { // idle, iowait
			idle += n
		}
	}
	return idle, total
}
