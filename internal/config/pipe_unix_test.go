//go:build unix

package config

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A named pipe without a writer is refused at once as a secret's file.
func TestNamedPipeIsRefused(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, variables := range map[string][]string{
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

// TOKEND_CONFIG=<(sops -d tokend.yaml) is a pipe.
func TestConfigurationThroughAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(pipe, []byte(goodFile+"    client_secret: "+canarySecret+"\n"), 0) }()
	env := environ(t, "HOME=/nonexistent", "TOKEND_CONFIG="+pipe, "TOKEND_STORE=sqlite:/x/y", "TOKEND_SOCKET=/x/s", "TOKEND_STORE_KEY_FILE=/x/k", "TOKEND_API_KEY_FILE=/x/a")
	c, faults := Load(env, DefaultPaths(env))
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if len(c.Clients) != 1 || c.Clients[0].Name != "demo" || strings.Contains(faults.Error(), pipe) {
		t.Errorf("%+v, %v", c.Clients, faults)
	}
}
