package bench

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

var listenLine = regexp.MustCompile(`msg=listening network=tcp addr=(127\.0\.0\.1:\d+)`)

// BenchmarkTokenProcess measures "tokend token NAME" as a process, over the
// socket and over TCP, curl with the same URL, and oidc-token, which gets a token
// from oidc-agent's memory.
func BenchmarkTokenProcess(b *testing.B) {
	bin := binaries(b)
	issuer, _ := server(b, issuerLine, []string{"MOCKAUTH0_LISTEN=127.0.0.1:0"}, bin+"/mockauth0")
	dir := b.TempDir()
	run := filepath.Join(dir, "run")
	if err := os.Mkdir(run, 0o700); err != nil {
		b.Fatal(err)
	}
	env := []string{
		"XDG_STATE_HOME=" + dir, "XDG_RUNTIME_DIR=" + run, "XDG_CONFIG_HOME=" + dir, "TOKEND_LISTEN=127.0.0.1:0",
		"TOKEND_CLIENTS=demo", "TOKEND_CLIENT_DEMO_ISSUER=" + issuer, "TOKEND_CLIENT_DEMO_CLIENT_ID=demo",
		"TOKEND_CLIENT_DEMO_CLIENT_SECRET=demo-secret", "TOKEND_CLIENT_DEMO_REDIRECT_URI=http://localhost:8484/callback",
		"TOKEND_CLIENT_DEMO_AUDIENCE=https://api.example.com/", "TOKEND_CLIENT_DEMO_LOGIN=headless",
		"TOKEND_CLIENT_DEMO_SCOPES=openid,offline_access",
	}
	address, _ := server(b, listenLine, env, bin+"/tokend", "serve")
	key, err := os.ReadFile(filepath.Join(dir, "tokend", "api.key"))
	if err != nil {
		b.Fatal(err)
	}
	bearer := "Authorization: Bearer " + string(bytes.TrimSpace(key))
	url := "http://" + address + "/v1/clients/demo/token?format=text"
	socket := filepath.Join(run, "tokend", "tokend.sock")
	type process struct {
		name string
		args []string
		env  []string
	}
	processes := []process{
		{"tokend/socket", []string{bin + "/tokend", "token", "demo"}, env},
		{"tokend/tcp", []string{bin + "/tokend", "token", "demo"}, append(env, "TOKEND_ADDR=http://"+address, "TOKEND_API_KEY_FILE="+filepath.Join(dir, "tokend", "api.key"))},
		{"curl/socket", []string{"curl", "-q", "-sS", "--unix-socket", socket, "http://localhost/v1/clients/demo/token?format=text"}, nil},
		{"curl/tcp", []string{"curl", "-q", "-sS", "--noproxy", "*", "-H", bearer, url}, nil},
		{"true", []string{"true"}, nil},
	}
	if agent := oidcAgent(b, issuer); agent != nil {
		processes = append(processes, process{"oidc-token", []string{"oidc-token", "demo"}, agent})
	}
	for _, c := range processes {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				cmd := exec.Command(c.args[0], c.args[1:]...) //nolint:gosec // what is measured
				cmd.Env = append(os.Environ(), c.env...)
				out, err := cmd.Output()
				if err != nil {
					b.Fatal(err)
				}
				if c.name != "true" && bytes.Count(out, []byte(".")) != 2 {
					b.Fatalf("not a token: %d bytes", len(out))
				}
			}
		})
	}
}
