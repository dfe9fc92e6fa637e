//go:build unix

package systemd

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/systemd/systemdtest"
)

func TestWatchdogFollowsTheStore(t *testing.T) {
	m := systemdtest.NewManager(t)
	n := NewNotifier([]string{"demo"}, slog.New(slog.DiscardHandler))
	n.every = 10 * time.Millisecond
	n.alive(t.Context(), func(context.Context) error { return errors.New("disk full") })
	m.Until(t, "WATCHDOG=1", "STATUS=the store fails", "demo: starting")
	n.alive(t.Context(), func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	n.alive(t.Context(), func(context.Context) error { return nil })
	if next := m.Until(t, ""); next != "WATCHDOG=1\nSTATUS=0 of 1 clients ready; demo: starting" {
		t.Errorf("after a store that hung came %q", next)
	}
}

// The watchdog is fed while draining: systemd must not kill a process that finishes a
// refresh.
func TestWatchdogWhileDraining(t *testing.T) {
	m := systemdtest.NewManager(t)
	n := NewNotifier(nil, slog.New(slog.DiscardHandler))
	n.every = 5 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	stop := n.Start(ctx, func(ctx context.Context) error { return ctx.Err() })
	m.Until(t, "READY=1")
	cancel()
	m.Until(t, "STOPPING=1")
	m.Until(t, "WATCHDOG=1")
	stop()
}

func TestNoServiceManager(t *testing.T) {
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		t.Setenv(name, "")
	}
	n := NewNotifier(nil, slog.New(slog.DiscardHandler))
	n.Start(t.Context(), nil)() // nothing runs, nothing is waited for
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "missing"))
	t.Setenv("WATCHDOG_USEC", "soon")
	var log bytes.Buffer
	n = NewNotifier(nil, slog.New(slog.NewTextHandler(&log, nil)))
	n.Start(t.Context(), nil)()
	for _, want := range []string{"no watchdog", "reason=", "hint=\"check WatchdogSec= of the unit", "cannot notify the service manager", "hint=\"check NOTIFY_SOCKET"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}
