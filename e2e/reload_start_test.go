//go:build unix

package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/tokend/e2e/internal/programs"
)

// TestReload_SignalDuringStart: SIGHUP while tokend reads its configuration, here
// a pipe, causes a reload after the start.
//
// Row F35 of docs/guarantees.md.
func TestReload_SignalDuringStart(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{"alone": ":", "under nohup": "trap '' HUP"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signalDuringStart(t, line)
		})
	}
}

// signalDuringStart runs tokend after a shell command.
func signalDuringStart(t *testing.T, line string) {
	tenant := rotating(t, 0, 86400)
	a := newReloadable(t, tenant, noClients)
	must(t, os.Remove(a.config()))
	must(t, syscall.Mkfifo(a.config(), 0o600))
	cmd := exec.Command("/bin/sh", "-c", line+`; exec "$0" serve`, filepath.Join(bin, "tokend"))
	cmd.Env, cmd.Dir = a.env, a.dir
	a.Program = programs.Start(t, cmd)
	pipe, err := os.OpenFile(a.config(), os.O_WRONLY, 0) // blocks until tokend reads it
	must(t, err)
	a.signal(t, syscall.SIGHUP)
	must(t, os.Remove(a.config()))
	a.configure(t, tenant, ciClient)
	time.Sleep(100 * time.Millisecond) // for the process to get the signal before it continues
	_, err = pipe.WriteString(noClients)
	must(t, errors.Join(err, pipe.Close()))
	a.listens(t)
	eventually(t, func() error {
		if log := a.Log.String(); !strings.Contains(log, reloaded+" added=ci ") {
			return fmt.Errorf("not reloaded:\n%s", log)
		}
		return nil
	})
	a.wants(t, 200, "GET", "/v1/clients/ci/token")
	a.loggedIn(t)
	oneLogin(t, tenant)
	a.End(t)
}
