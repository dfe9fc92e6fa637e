//go:build unix

package torture_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/tokend/e2e/internal/programs"
	"example.com/tokend/internal/openapi"
)

// openAPI is docs/openapi.yaml, which every answer of tokend is compared with.
var openAPI = sync.OnceValues(func() (*openapi.Document, error) {
	return openapi.Load(filepath.Join("..", "..", "docs", "openapi.yaml"))
})

// process is one "tokend serve".
type process struct {
	name  string // p0, p1, …
	key   string // of its API. It has one of its own: once it has ended, a process of another round can have its port
	cmd   *exec.Cmd
	log   *programs.Log
	ended chan struct{}
	url   string
	http  *http.Client
}

// startProcess starts tokend and waits until it listens. report gets what of its answers
// docs/openapi.yaml does not have.
func startProcess(name, dir string, env []string, report func(error)) (*process, error) {
	document, err := openAPI()
	if err != nil {
		return nil, err
	}
	p := &process{name: name, key: rand.Text(), log: &programs.Log{}, ended: make(chan struct{})}
	p.http = &http.Client{Transport: document.Transport(&http.Transport{DisableKeepAlives: true}, report)}
	p.cmd = exec.Command(filepath.Join(bin, "tokend"), "serve") //nolint:gosec,noctx // the program under test
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = slices.Concat(env, []string{"TOKEND_API_KEY=" + p.key}), dir, p.log, p.log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = p.cmd.Wait(); close(p.ended) }()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if m := programs.Port.FindStringSubmatch(p.log.String()); m != nil {
			p.url = "http://127.0.0.1:" + m[1]
			return p, nil
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("%s ended at its start: %s\n%s", name, p.cmd.ProcessState, p.log)
		case <-time.After(2 * time.Millisecond):
		}
	}
	p.kill()
	return nil, fmt.Errorf("%s does not listen after 30 s\n%s", name, p.log)
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// terminate sends SIGTERM, which must end the process with 0.
func (p *process) terminate() error {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(60 * time.Second):
		p.kill()
		return fmt.Errorf("%s did not end within 60 s of SIGTERM", p.name)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s ended with %s after SIGTERM", p.name, p.cmd.ProcessState)
	}
	return nil
}

// logTail is the end of the process's log.
func (p *process) logTail(lines int) string {
	all := strings.Split(strings.TrimSpace(p.log.String()), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// answer is what the API answered; status 0 means that no answer came.
type answer struct {
	status int
	body   string
	view   view
}

// view is the part of a client's state that the oracles compare.
type view struct {
	State      string    `json:"state"`
	LoggedIn   time.Time `json:"logged_in"`
	Generation int64     `json:"generation"`
}

// newer reports whether v is of a later login, or a later exchange of the same.
func (v view) newer(old view) bool {
	if !v.LoggedIn.Equal(old.LoggedIn) {
		return v.LoggedIn.After(old.LoggedIn)
	}
	return v.Generation > old.Generation
}

func (v view) String() string {
	return fmt.Sprintf("login %s generation %d", v.LoggedIn.Format("15:04:05.000"), v.Generation)
}

// ask sends a request to the API of client demo.
func (p *process) ask(method, path, body string, limit time.Duration) answer {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.url+"/v1/clients/demo"+path, strings.NewReader(body))
	if err != nil {
		return answer{body: err.Error()}
	}
	req.Header.Set("Authorization", "Bearer "+p.key)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := p.http.Do(req)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	a := answer{status: res.StatusCode, body: string(b)}
	_ = json.Unmarshal(b, &a.view) // an error has no state
	return a
}

func (p *process) refresh() answer { return p.ask("POST", "/refresh", "", 45*time.Second) }

func (p *process) state() answer { return p.ask("GET", "", "", 2*time.Second) }

func (p *process) login() answer {
	return p.ask("POST", "/login", `{"headless":true}`, 45*time.Second)
}
