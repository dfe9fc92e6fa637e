package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"example.com/tokend/internal/config"
	"example.com/tokend/pkg/flow"
)

// manager sends notifications to the service manager that started the process
// (sd_notify(3)), if there is one.
type manager struct {
	every   time.Duration // half of WatchdogSec=; 0: no watchdog
	log     *slog.Logger
	changed chan struct{}

	mu     sync.Mutex
	states map[string]flow.ClientState
}

// newManager reads the environment of the service manager. clients are those of the
// service.
func newManager(clients []config.Client, log *slog.Logger) *manager {
	m := &manager{log: log, changed: make(chan struct{}, 1), states: map[string]flow.ClientState{}}
	for _, c := range clients {
		m.states[c.Name] = flow.StateStarting
	}
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("no watchdog", "reason", err, "hint", "check WatchdogSec= of the unit, which sets WATCHDOG_USEC")
	}
	m.every = interval / 2
	return m
}

// note records a client's state for the status line. It does not block.
func (m *manager) note(s flow.Status) {
	m.mu.Lock()
	if _, kept := m.states[s.Client]; kept {
		m.states[s.Client] = s.State
	}
	m.mu.Unlock()
	m.update()
}

// keep makes the status line show these clients and no others.
func (m *manager) keep(clients []*kept) {
	m.mu.Lock()
	m.states = map[string]flow.ClientState{}
	for _, k := range clients { // with mu held, so that a later change comes after this
		m.states[k.settings.Name] = k.client.Status().State
	}
	m.mu.Unlock()
	m.update()
}

// update makes loop send the status line.
func (m *manager) update() {
	select {
	case m.changed <- struct{}{}:
	default: // a pending update will include this
	}
}

// attend notifies the manager that the service is ready, alive and ending, until the
// returned function is called, which waits for it.
//
// The service is ready when it listens and its store is open. Logins continue then: an
// unreachable provider must not delay clients of other providers.
func (m *manager) attend(ctx context.Context, ping func(context.Context) error) (leave func()) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return func() {}
	}
	m.ready()
	ended, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		m.loop(ctx, ended, ping)
	}()
	return func() { close(ended); <-left }
}

func (m *manager) loop(ctx context.Context, ended <-chan struct{}, ping func(context.Context) error) {
	var tick <-chan time.Time
	if m.every > 0 {
		t := time.NewTicker(m.every)
		defer t.Stop()
		tick = t.C
	}
	stopping := ctx.Done()
	for {
		select {
		case <-m.changed:
			m.send("STATUS=" + m.summary())
		case <-tick: // while it drains, too
			m.alive(ctx, ping)
		case <-stopping:
			m.send(daemon.SdNotifyStopping + "\nSTATUS=ending: finishing requests and refreshes")
			stopping = nil
		case <-ended:
			if stopping != nil {
				m.send(daemon.SdNotifyStopping)
			}
			return
		}
	}
}

// reloading notifies the manager that a reload has begun; ready, that it has ended
// (sd_notify(3)).
func (m *manager) reloading() {
	m.send(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// ready notifies the manager that the service is ready, at the start and after a reload.
func (m *manager) ready() { m.send(daemon.SdNotifyReady + "\nSTATUS=" + m.summary()) }

// alive feeds the watchdog if the store answers, even with an error: a restart would not
// fix a full disk, and would lose the tokens in memory that can still be served. A
// store that hangs does not feed it.
func (m *manager) alive(ctx context.Context, ping func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.every)
	defer cancel()
	err, status := ping(ctx), m.summary()
	switch {
	case ctx.Err() != nil:
		m.log.ErrorContext(ctx, "the store hangs", "for", m.every, "reason", err,
			"hint", "check the disk of the store; the service manager restarts the service when it does not recover")
		return
	case err != nil:
		status = "the store fails, see /readyz; " + status
	}
	m.send(daemon.SdNotifyWatchdog + "\nSTATUS=" + status)
}

// summary returns the status line for systemctl status.
func (m *manager) summary() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	ready, others := 0, []string{}
	for name, state := range m.states {
		if state == flow.StateReady {
			ready++
			continue
		}
		others = append(others, fmt.Sprintf("%s: %s", name, state))
	}
	slices.Sort(others)
	return strings.Join(append([]string{fmt.Sprintf("%d of %d clients ready", ready, len(m.states))}, others...), "; ")
}

// send notifies the manager. An error does not end the service.
func (m *manager) send(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		m.log.Warn("cannot notify the service manager", "reason", err, "hint", "check NOTIFY_SOCKET, and NotifyAccess= of the unit")
	}
}
