package referees_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/chromedp/chromedp"
)

// TestCompose runs the programs of examples/compose.yaml with its variables, each in a
// network of its own, and logs in with Chromium in a third one, as the host. The
// browser cannot resolve "mockauth0", and the application does not reach the tenant at
// "localhost", as with Docker.
func TestCompose(t *testing.T) {
	if os.Getenv(composeHost) == "" {
		inNamespaces(t)
		return
	}
	if err := loopbackUp(); err != nil {
		t.Fatal(err)
	}
	services := readCompose(t)
	dir, err := os.MkdirTemp("", "compose")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	app := filepath.Join(dir, "app")
	if out, err := exec.Command("go", "-C", filepath.Join("..", ".."), "build", "-buildvcs=false", "-o", app, "./examples/app").CombinedOutput(); err != nil {
		t.Fatalf("building the application: %v\n%s", err, out)
	}
	services["mockauth0"].start(t, dir, append(imageOf(t), mockauth0, "serve", "--public"))
	answers(t, "http://localhost:8400/_mock/health")
	services["app"].start(t, dir, []string{app})
	answers(t, "http://localhost:3000/")
	if _, err := net.LookupHost("mockauth0"); err == nil {
		t.Error("the host can resolve the name of a container")
	}

	c := launchChromium(t, "http://localhost:3000/")
	c.do(click("#log-in"))
	c.signIn()
	c.do(visible("#consent-form"), click("#accept"), visible("#user"))
	text, err := chromedp.Run(c.ctx, chromedp.Text(chromedp.CSS("#user")))
	if err != nil || text != "agent@example.com of http://mockauth0:8400/" {
		t.Errorf("the page says %q, %v", text, err)
	}
	c.do(click("#log-out"), visible("#log-in"))
	c.do(click("#log-in"), visible("#login-form")) // the session is over
	journal := get(t, "http://localhost:8400/_mock/requests")
	for _, endpoint := range []string{"discovery", "authorize", "login", "consent", "token", "jwks", "userinfo", "logout"} {
		if !strings.Contains(journal, `"endpoint":"`+endpoint+`"`) {
			t.Errorf("no call of %s in the journal", endpoint)
		}
	}
}

// Variables that make a process of this test the host or a container of it.
const (
	composeHost      = "COMPOSE_HOST"
	composeContainer = "COMPOSE_CONTAINER"
	composeMock      = "COMPOSE_MOCKAUTH0"
)

// inNamespaces runs the test again with a network and mounts of its own.
func inNamespaces(t *testing.T) {
	t.Helper()
	args := []string{"-test.run=^TestCompose$", "-test.count=1", "-test.timeout=3m"}
	env := append(clean(), composeHost+"=1", composeMock+"="+mockauth0)
	direct := exec.Command(os.Args[0], args...)
	direct.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 { // namespaces need a user of their own, where the system allows that
		direct.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		direct.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		direct.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	byRoot := exec.Command("sudo", append([]string{"-n", "--preserve-env", "unshare", "--net", "--mount", os.Args[0]}, args...)...)
	for _, cmd := range []*exec.Cmd{direct, byRoot} {
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		var ended *exec.ExitError
		if err == nil && strings.Contains(string(out), "PASS") {
			return
		}
		if errors.As(err, &ended) && (cmd == direct || strings.Contains(string(out), "TestCompose")) {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Logf("%v: %v\n%s", cmd.Args[0], err, out)
	}
	lacking(t, "the right to make network namespaces")
}

// composeService is one of the file's.
type composeService struct {
	name  string
	env   []string
	ports []string // published: on the host, and in the container
	uses  []string // services that it reaches by name
}

// readCompose reads the services of the file, of which it knows exactly this form.
func readCompose(t *testing.T) map[string]*composeService {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "examples", "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*composeService{}
	var current *composeService
	section := ""
	for _, line := range strings.Split(string(b), "\n") {
		text := strings.TrimSpace(line)
		indent := len(line) - len(strings.TrimLeft(line, " "))
		key, value, _ := strings.Cut(text, ": ")
		switch {
		case text == "" || strings.HasPrefix(text, "#"):
		case indent == 2:
			current = &composeService{name: strings.TrimSuffix(text, ":")}
			out[current.name] = current
		case indent == 4:
			section = strings.TrimSuffix(text, ":")
		case indent == 6 && section == "environment":
			current.env = append(current.env, key+"="+value)
		case indent == 6 && section == "ports":
			current.ports = append(current.ports, strings.TrimPrefix(text, "- 127.0.0.1:"))
		case indent == 6 && section == "depends_on":
			current.uses = append(current.uses, strings.TrimSuffix(text, ":"))
		}
	}
	for _, name := range []string{"mockauth0", "app"} {
		if s := out[name]; s == nil || len(s.env) == 0 || len(s.ports) == 0 {
			t.Fatalf("examples/compose.yaml has no %s with environment and ports", name)
		}
	}
	return out
}

// imageOf returns the variables of the image of mockauth0, as arguments of env.
func imageOf(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "deploy", "docker", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^ENV (MOCKAUTH0_\S+)$`).FindSubmatch(b)
	if m == nil || !strings.Contains(string(b), `CMD ["serve", "--public"]`) {
		t.Fatal("the image of mockauth0 has another ENV or CMD")
	}
	return []string{"env", string(m[1])}
}

// containerJob is what a container runs.
type containerJob struct {
	Name  string
	Args  []string
	Names []string    // of containers in the same network
	Relay [][2]string // from an address or socket to another
	None  string      // an address at which nothing may answer
}

// start runs a service in a network of its own. Sockets stand for the bridge: a
// published port on the host and a name in the network lead to one.
func (s *composeService) start(t *testing.T, dir string, args []string) {
	t.Helper()
	job := containerJob{Name: s.name, Args: args, Names: s.uses}
	for _, p := range s.ports {
		host, inside, _ := strings.Cut(p, ":")
		socket := filepath.Join(dir, s.name+"."+inside)
		job.Relay = append(job.Relay, [2]string{socket, "127.0.0.1:" + inside})
		if err := relay("127.0.0.1:"+host, socket); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range s.uses {
		sockets, _ := filepath.Glob(filepath.Join(dir, name+".*"))
		for _, socket := range sockets {
			port := strings.TrimPrefix(filepath.Ext(socket), ".")
			job.Relay = append(job.Relay, [2]string{fmt.Sprintf("127.0.1.%d:%s", i+1, port), socket})
			job.None = "127.0.0.1:" + port
		}
	}
	b, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(clean(), s.env...), composeContainer+"="+string(b))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", s.name, &log)
		}
	})
}

// runContainer is the process of a container: it reports whether this is one, and its
// exit code.
func runContainer() (code int, is bool) {
	raw := os.Getenv(composeContainer)
	if raw == "" {
		return 0, false
	}
	if err := contain(raw); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

func contain(raw string) error {
	var job containerJob
	if err := json.Unmarshal([]byte(raw), &job); err != nil {
		return err
	}
	hosts := "127.0.0.1 localhost\n"
	for i, name := range job.Names {
		hosts += fmt.Sprintf("127.0.1.%d %s\n", i+1, name)
	}
	if err := errors.Join(loopbackUp(), resolve(hosts)); err != nil {
		return err
	}
	for _, r := range job.Relay {
		if err := relay(r[0], r[1]); err != nil {
			return err
		}
	}
	if job.None != "" {
		if conn, err := net.Dial("tcp", job.None); err == nil {
			_ = conn.Close()
			return fmt.Errorf("%s answers in the network of %s", job.None, job.Name)
		}
	}
	cmd := exec.Command(job.Args[0], job.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}

// resolve replaces /etc/hosts for this process and its children.
func resolve(hosts string) error {
	f, err := os.CreateTemp("", "hosts")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if _, err := f.WriteString(hosts); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts: %w", err)
	}
	if err := syscall.Mount(f.Name(), "/etc/hosts", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("/etc/hosts: %w", err)
	}
	return nil
}

func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(fd) }()
	var request struct { // ifreq
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	request.flags = syscall.IFF_UP | syscall.IFF_RUNNING
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}

// relay copies connections from one address to another until the process ends. An
// address with a slash is a unix socket.
func relay(from, to string) error {
	network := func(addr string) string {
		if strings.Contains(addr, "/") {
			return "unix"
		}
		return "tcp"
	}
	l, err := net.Listen(network(from), from)
	if err != nil {
		return err
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = in.Close() }()
				out, err := net.Dial(network(to), to)
				if err != nil {
					return
				}
				defer func() { _ = out.Close() }()
				go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
	return nil
}

// answers waits until a URL answers 200.
func answers(t *testing.T, address string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-tick.C {
		if res, err := http.Get(address); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
	}
	t.Fatalf("%s does not answer", address)
}

func get(t *testing.T, address string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
