package pgtest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Bouncer starts a PgBouncer in transaction mode in front of a database, until the
// test ends, and returns the URL through it. It has two connections to the database.
// It returns exec.ErrNotFound without the program.
func (c *Cluster) Bouncer(t testing.TB, database string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer" // not on every PATH
		if _, err := os.Stat(path); err != nil {
			return "", exec.ErrNotFound
		}
	}
	dir, err := os.MkdirTemp(c.dir, "bouncer-")
	if err != nil {
		return "", err
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	config := filepath.Join(dir, "pgbouncer.ini")
	lines := []string{
		"[databases]", fmt.Sprintf("%s = host=127.0.0.1 port=%d user=postgres", database, c.Port),
		"[pgbouncer]", "pool_mode = transaction", "default_pool_size = 2", "listen_addr = 127.0.0.1",
		"listen_port = " + strconv.Itoa(port), "unix_socket_dir =", "auth_type = any",
	}
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return "", err
	}
	if c.as != nil {
		if err := errors.Join(os.Chown(dir, int(c.as.Uid), int(c.as.Gid)), os.Chown(config, int(c.as.Uid), int(c.as.Gid))); err != nil {
			return "", err
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return "", err
	}
	cmd := c.command(path, config)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return "", err
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
		_ = errors.Join(cmd.Wait(), log.Close()) // ended by a signal
	})
	u := strings.Replace(c.DSN(database), ":"+strconv.Itoa(c.Port), ":"+strconv.Itoa(port), 1)
	if err := awaitPort(port); err != nil {
		b, _ := os.ReadFile(filepath.Join(dir, "log")) // for the message only
		return "", fmt.Errorf("pgbouncer: %w: %s", err, b)
	}
	return u, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func awaitPort(port int) error {
	var err error
	for range 100 {
		var c net.Conn
		if c, err = net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second); err == nil { //nolint:noctx // it has a timeout
			return c.Close()
		}
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // another process starts
	}
	return err
}
