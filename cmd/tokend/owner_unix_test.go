//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Another user could replace the store or the socket in a directory of theirs. Only
// root can make one here; internal/durable tests the check for everyone.
func TestServeRefusesDirectoriesOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		return
	}
	for name, c := range map[string]struct{ dir, variable, want string }{
		"state":  {"state", "TOKEND_STORE=sqlite:HOME/state/tokend.db", "error: store: state directory "},
		"socket": {"run", "TOKEND_SOCKET=HOME/run/tokend.sock", "error: the socket's directory "},
		"spill":  {"spill", "TOKEND_SPILL_DIR=HOME/spill", "error: store: spill directory "},
	} {
		t.Run(name, func(t *testing.T) {
			home := clean(t)
			setenv(t, goodClient...)
			setenv(t, "TOKEND_LISTEN=127.0.0.1:0", strings.ReplaceAll(c.variable, "HOME", home))
			dir := filepath.Join(home, c.dir)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(dir, 65534, 65534); err != nil {
				t.Fatal(err)
			}
			o := runTokend(t, "serve")
			if o.code != exitConfig || !strings.HasPrefix(o.stderr[max(0, strings.LastIndex(o.stderr, "error: ")):], c.want+dir+" belongs to user 65534, and this runs as user 0\nhint: run it as that user, or chown 0 "+dir) {
				t.Errorf("exit %d: %s", o.code, o.stderr)
			}
		})
	}
}
