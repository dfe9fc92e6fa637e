package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/tokend/internal/store"
)

// TestOpenStore_Places: the spill goes to the configured directory, and the mark
// next to the keyset's file.
func TestOpenStore_Places(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_LISTEN=127.0.0.1:0", "TOKEND_SPILL_DIR="+filepath.Join(home, "spill"),
		"TOKEND_STORE_KEY_FILE="+filepath.Join(home, "keys", "k.json"))
	s, err := loadSettings()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first makes the keyset
		grants, err := s.openStore(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := grants.Close(); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"spill", "keys/k.json.mark"} {
			if _, err := os.Stat(filepath.Join(home, name)); err != nil {
				t.Error(err)
			}
		}
	}
}

// An invalid store key is named, with a hint and without its text, and the check
// of the configuration finds it before the service starts.
func TestStoreKey_Invalid(t *testing.T) {
	for name, text := range map[string]string{"no base64": "canary-text!", "no keyset": `{"canary":1}`} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(clean(t), "keyset.json")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			newTenant(t).configure(t, "TOKEND_LISTEN=127.0.0.1:0")
			for variable, value := range map[string]string{"TOKEND_STORE_KEY": text, "TOKEND_STORE_KEY_FILE": file} {
				t.Setenv("TOKEND_STORE_KEY", "")
				t.Setenv("TOKEND_STORE_KEY_FILE", "")
				t.Setenv(variable, value)
				for _, command := range [][]string{{"serve"}, {"config", "check"}} {
					r := runTokend(t, command...)
					if r.code != exitConfig || !strings.Contains(r.stderr, variable+": ") || !strings.Contains(r.stderr, "hint: ") || strings.Contains(r.stderr, "canary") {
						t.Errorf("%s, %v: %d\n%s", variable, command, r.code, r.stderr)
					}
				}
			}
		})
	}
}

// An error of the store that may be over soon is temporary: systemd does not start a
// service again that ended with a wrong configuration.
func TestTemporary(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{store.ErrUnreachable, exitTryAgain},
		{store.ErrDisk, exitTryAgain},
		{syscall.ENOSPC, exitTryAgain},
		{os.ErrPermission, exitConfig},
	} {
		if got := exitWith(exitConfig, temporary(fmt.Errorf("open: %w", c.err))); exitCode(got) != c.code {
			t.Errorf("%v: %d, want %d", c.err, exitCode(got), c.code)
		}
	}
}
