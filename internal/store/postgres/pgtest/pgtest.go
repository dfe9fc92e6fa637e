// Package pgtest runs a private PostgreSQL cluster for tests: in a directory of
// its own, on a unix socket and a port of the loopback address. It needs the
// binaries of the server (Debian's package postgresql), and root or another user
// who may run them.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Cluster is a running server. Its methods are for one goroutine at a time.
type Cluster struct {
	Port    int
	dir     string
	bin     string
	options []string
	as      *syscall.Credential // nil: the user of this process
	server  *exec.Cmd
	ended   chan struct{}
	made    atomic.Int64 // databases
}

// superuser is the name of the database's superuser. Connections need no password.
const superuser = "postgres"

// Main runs the tests of a package with a cluster, and ends it afterwards. Without
// a server on this machine it runs them with a nil cluster: see [Cluster.URL].
func Main(m *testing.M, set func(*Cluster)) int {
	c, err := Start()
	switch {
	case err == nil:
		defer func() { _ = c.Stop() }()
		set(c)
	case !errors.Is(err, exec.ErrNotFound) || os.Getenv("CI") == "true":
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		return 1
	}
	return m.Run()
}

// Start makes a cluster and starts its server, with settings as in
// postgresql.conf. It returns exec.ErrNotFound if there is none on this machine.
func Start(settings ...string) (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	c := &Cluster{bin: bin, options: settings}
	if c.as, err = unprivileged(); err != nil {
		return nil, err
	}
	// Not the test's directory: others may not enter it, and its path is too long for
	// a socket.
	if c.dir, err = os.MkdirTemp("", "pgtest-"); err != nil {
		return nil, err
	}
	if err = c.init(); err == nil {
		err = c.Resume()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(c.dir))
	}
	return c, nil
}

// New starts a cluster that ends with the test. It skips the test if there is no
// server on this machine, but not in CI.
func New(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	c, err := Start(settings...)
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") != "true" {
		t.Skip(missing)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Require skips a test if there is no server on this machine, but not in CI.
func Require(t testing.TB) {
	t.Helper()
	if _, err := binaries(); err != nil && os.Getenv("CI") != "true" {
		t.Skip(missing)
	}
}

const missing = "no PostgreSQL server on this machine: install postgresql"

// binaries returns the directory of the newest server.
func binaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is valid
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	return filepath.Dir(path), err
}

// unprivileged returns another user if this process is root, as whom no server
// runs.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // the user of this process
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func (c *Cluster) init() error {
	if c.as != nil {
		if err := os.Chown(c.dir, int(c.as.Uid), int(c.as.Gid)); err != nil {
			return err
		}
	}
	var err error
	if c.Port, err = freePort(); err != nil {
		return err
	}
	out, err := c.command("initdb", "-D", c.data(), "-U", superuser, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// Socket is the directory of the unix socket.
func (c *Cluster) Socket() string { return c.dir }

// command runs a binary of the server, or another one by its path, as its user.
func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	return c.commandContext(context.Background(), name, args...)
}

func (c *Cluster) commandContext(ctx context.Context, name string, args ...string) *exec.Cmd {
	if !filepath.IsAbs(name) {
		name = filepath.Join(c.bin, name)
	}
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // a program of the test
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + c.bin + ":/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as, Setpgid: true} // Ctrl-C is for the test
	return cmd
}

// Resume starts the server, after [Cluster.Halt] too, and waits until it accepts
// connections.
func (c *Cluster) Resume() error {
	args := []string{
		"-D", c.data(), "-k", c.dir, "-p", strconv.Itoa(c.Port), "-c", "listen_addresses=127.0.0.1",
		"-c", "fsync=off", "-c", "max_connections=200", "-c", "log_min_messages=warning",
	}
	for _, setting := range c.options {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has its own descriptor
	c.server = c.command("postgres", args...)
	c.server.Stdout, c.server.Stderr = log, log
	if err := c.server.Start(); err != nil {
		return err
	}
	ended, server := make(chan struct{}), c.server
	c.ended = ended
	go func() {
		defer close(ended)
		_ = server.Wait() // ended by a signal
	}()
	return c.await()
}

// await waits until the server accepts connections.
func (c *Cluster) await() error {
	for range 300 {
		if c.command("pg_isready", "-q", "-h", c.dir, "-p", strconv.Itoa(c.Port)).Run() == nil {
			return nil
		}
		select {
		case <-c.ended:
			b, _ := os.ReadFile(filepath.Join(c.dir, "log")) // for the message only
			return fmt.Errorf("the server has ended: %s", b)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return errors.New("the server does not accept connections")
}

// Halt ends the server like a crash of its processes (at once), or after it has
// closed all connections (otherwise). The data stays.
func (c *Cluster) Halt(atOnce bool) error {
	signal := syscall.SIGINT // fast shutdown
	if atOnce {
		signal = syscall.SIGQUIT // immediate shutdown
	}
	if err := c.server.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-c.ended
	return nil
}

// Pause stops the server's own processes until the returned function is called:
// connections stay open, and nothing is answered.
func (c *Cluster) Pause() (resume func() error, err error) {
	group := -c.server.Process.Pid
	return func() error { return c.signalAll(syscall.SIGCONT) }, errors.Join(syscall.Kill(group, syscall.SIGSTOP), c.signalAll(syscall.SIGSTOP))
}

// signalAll signals the server and its children, which have process groups of
// their own.
func (c *Cluster) signalAll(signal syscall.Signal) error {
	pid := c.server.Process.Pid
	tasks, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return err
	}
	for _, child := range strings.Fields(string(tasks)) {
		n, err := strconv.Atoi(child)
		if err != nil {
			return err
		}
		_ = syscall.Kill(n, signal) // it may have ended
	}
	return syscall.Kill(pid, signal)
}

// RequirePassword makes the server ask for passwords on its port.
func (c *Cluster) RequirePassword() error {
	rules := "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
	if err := os.WriteFile(filepath.Join(c.data(), "pg_hba.conf"), []byte(rules), 0o600); err != nil { // it exists, and keeps its owner
		return err
	}
	return c.server.Process.Signal(syscall.SIGHUP)
}

// Stop ends the server and removes its data.
func (c *Cluster) Stop() error {
	err := c.Halt(true)
	return errors.Join(err, os.RemoveAll(c.dir))
}

// URL makes an empty database and returns its URL. It skips the test without a
// cluster.
func (c *Cluster) URL(t testing.TB, params ...string) string {
	t.Helper()
	if c == nil {
		t.Skip(missing)
	}
	name := fmt.Sprintf("test%d", c.made.Add(1))
	c.SQL(t, "postgres", "CREATE DATABASE "+name)
	return c.DSN(name, params...)
}

// DSN returns the URL of a database by its port, with parameters as "name=value".
func (c *Cluster) DSN(database string, params ...string) string {
	q := url.Values{"sslmode": {"disable"}}
	for _, p := range params {
		name, value, _ := strings.Cut(p, "=")
		q.Set(name, value)
	}
	u := url.URL{
		Scheme: "postgres", User: url.User(superuser), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)),
		Path: database, RawQuery: q.Encode(),
	}
	return u.String()
}

// Database returns the name of the database of a URL.
func Database(t testing.TB, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// SQL runs statements in a database with psql, and returns what they print.
func (c *Cluster) SQL(t testing.TB, database, statements string) string {
	t.Helper()
	out, err := c.Psql(t.Context(), database, statements)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Psql is SQL without a test.
func (c *Cluster) Psql(ctx context.Context, database, statements string) (string, error) {
	cmd := c.commandContext(ctx, "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", c.dir, "-p", strconv.Itoa(c.Port), "-U", superuser, "-d", database, "-c", statements)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
