//go:build unix

package config

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A named pipe without a writer is refused at once, as a file and as a secret.
func TestNamedPipeIsRefused(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, variables := range map[string][]string{
		"file":   {"TOKEND_CONFIG=" + pipe},
		"secret": append(goodClient[:3:3], "TOKEND_CLIENT_DEMO_CLIENT_SECRET_FILE="+pipe),
		"key":    append(goodClient[:4:4], "TOKEND_API_KEY_FILE="+pipe),
	} {
		loaded := make(chan Faults, 1)
		env := environ(t, append([]string{"HOME=/nonexistent"}, variables...)...)
		go func() { _, faults := Load(env, DefaultPaths(env)); loaded <- faults }()
		select {
		case faults := <-loaded:
			if !strings.Contains(faults.Error(), "not a regular file") {
				t.Errorf("%s: %v", name, faults)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: it waits for a writer", name)
		}
	}
}
