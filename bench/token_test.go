package bench

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var listenLine = regexp.MustCompile(`msg=listening network=tcp addr=(127\.0\.0\.1:\d+)`)

// process is a command that prints a token.
type process struct {
	name string
	args []string
	env  []string
}

// run runs it once, as a whole process.
func (p process) run(b *testing.B) {
	cmd := exec.Command(p.args[0], p.args[1:]...) //nolint:gosec // what is measured
	cmd.Env = append(os.Environ(), p.env...)
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%s: %v", p.name, err)
	}
	if bytes.Count(out, []byte(".")) != 2 {
		b.Fatalf("%s printed no token: %d bytes", p.name, len(out))
	}
}

// BenchmarkTokenProcess: a process that prints a token: tokend-credential and
// "tokend token", over the socket and over TCP, compared with curl on the same URL
// and with oidc-token, which asks oidc-agent for a token that it has in memory.
//
// The processes take turns, in an order that changes every round, so that a busy
// moment of the machine meets all of them. The metrics are each one's median and
// their ratios; docs/decisions.md has the goals.
func BenchmarkTokenProcess(b *testing.B) {
	processes := tokenProcesses(b)
	took := map[string][]time.Duration{}
	order := rand.New(rand.NewPCG(1, 2))
	for _, p := range processes { // the first start reads files from the disk
		p.run(b)
	}
	for b.Loop() {
		for _, i := range order.Perm(len(processes)) {
			start := time.Now()
			processes[i].run(b)
			took[processes[i].name] = append(took[processes[i].name], time.Since(start))
		}
	}
	median := func(name string) float64 {
		slices.Sort(took[name])
		return float64(took[name][len(took[name])/2].Microseconds()) / 1000
	}
	for _, p := range processes {
		b.ReportMetric(median(p.name), p.name+"-ms")
	}
	for _, way := range []string{"socket", "tcp"} {
		b.ReportMetric(median("tokend-credential/"+way)/median("curl/"+way), "tokend-credential/curl/"+way)
		b.ReportMetric(median("tokend/"+way)/median("curl/"+way), "tokend/curl/"+way)
	}
	if len(took["oidc-token"]) > 0 {
		b.ReportMetric(median("tokend-credential/socket")/median("oidc-token"), "tokend-credential/oidc-token")
	}
}

// service is a tokend that keeps client demo of a mock tenant.
type service struct {
	cmd     *exec.Cmd
	address string // of the TCP listener
	socket  string
	issuer  string
	env     []string // its directories, for a command that uses its socket
	keyFile string
	key     string
}

// startService starts a tenant and a service from the programs in bin. In the service's
// configuration file, ISSUER stands for the tenant's and HOME for its directory.
func startService(b *testing.B, bin, config string) service {
	b.Helper()
	s := service{}
	s.issuer, _ = server(b, issuerLine, []string{"MOCKAUTH0_LISTEN=127.0.0.1:0"}, bin+"/mockauth0")
	dir := b.TempDir()
	run := filepath.Join(dir, "run")
	if err := os.Mkdir(run, 0o700); err != nil {
		b.Fatal(err)
	}
	s.env = []string{
		"XDG_STATE_HOME=" + dir, "XDG_RUNTIME_DIR=" + run, "XDG_CONFIG_HOME=" + dir,
	}
	config = strings.NewReplacer("ISSUER", s.issuer, "HOME", dir).Replace(config)
	if err := os.MkdirAll(filepath.Join(dir, "tokend"), 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokend", "tokend.yaml"), []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	s.address, s.cmd = server(b, listenLine, append(slices.Clone(s.env), "TOKEND_LISTEN=127.0.0.1:0",
		"TOKEND_CLIENTS=demo", "TOKEND_CLIENT_DEMO_ISSUER="+s.issuer, "TOKEND_CLIENT_DEMO_CLIENT_ID=demo",
		"TOKEND_CLIENT_DEMO_CLIENT_SECRET=demo-secret", "TOKEND_CLIENT_DEMO_REDIRECT_URI=http://localhost:8484/callback",
		"TOKEND_CLIENT_DEMO_AUDIENCE=https://api.example.com/", "TOKEND_CLIENT_DEMO_LOGIN=headless",
		"TOKEND_CLIENT_DEMO_SCOPES=openid,offline_access",
	), bin+"/tokend", "serve")
	s.socket = filepath.Join(run, "tokend", "tokend.sock")
	s.keyFile = filepath.Join(dir, "tokend", "api.key")
	key, err := os.ReadFile(s.keyFile)
	if err != nil {
		b.Fatal(err)
	}
	s.key = string(bytes.TrimSpace(key))
	return s
}

// tokenProcesses starts a tenant and a service, and returns the commands.
func tokenProcesses(b *testing.B) []process {
	b.Helper()
	bin := binaries(b)
	s := startService(b, bin, "")
	url := "http://" + s.address + "/v1/clients/demo/token?format=text"
	tcp := append(slices.Clone(s.env), "TOKEND_ADDR=http://"+s.address, "TOKEND_API_KEY_FILE="+s.keyFile)
	processes := []process{
		{"tokend-credential/socket", []string{bin + "/tokend-credential", "text", "demo"}, s.env},
		{"tokend-credential/tcp", []string{bin + "/tokend-credential", "text", "demo"}, tcp},
		{"tokend/socket", []string{bin + "/tokend", "token", "demo"}, s.env},
		{"tokend/tcp", []string{bin + "/tokend", "token", "demo"}, tcp},
		{"curl/socket", []string{"curl", "-q", "-sS", "--unix-socket", s.socket, "http://localhost/v1/clients/demo/token?format=text"}, nil},
		{"curl/tcp", []string{"curl", "-q", "-sS", "--noproxy", "*", "-H", "Authorization: Bearer " + s.key, url}, nil},
	}
	if agent := oidcAgent(b, s.issuer); agent != nil {
		processes = append(processes, process{"oidc-token", []string{"oidc-token", "demo"}, agent})
	}
	return processes
}
