package systemd

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

	"example.com/tokend/pkg/flow"
)

// Notifier notifies the service manager that started the process (sd_notify(3)), if
// there is one.
type Notifier struct {
	every   time.Duration // half of WatchdogSec=; 0: no watchdog
	log     *slog.Logger
	changed chan struct{}

	mu     sync.Mutex
	states map[string]flow.ClientState // nil without a service manager
}

// NewNotifier reads the environment of the service manager. clients are the names of
// those of the service.
func NewNotifier(clients []string, log *slog.Logger) *Notifier {
	n := &Notifier{log: log, changed: make(chan struct{}, 1)}
	if managed() {
		n.states = make(map[string]flow.ClientState, len(clients))
		for _, name := range clients {
			n.states[name] = flow.StateStarting
		}
	}
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("no watchdog", "reason", err, "hint", "check WatchdogSec= of the unit, which sets WATCHDOG_USEC")
	}
	n.every = interval / 2
	return n
}

// managed reports whether a service manager waits for notifications.
func managed() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

// Note records a client's state for the status line. It does not block.
func (n *Notifier) Note(s flow.Status) {
	n.mu.Lock()
	if _, kept := n.states[s.Client]; kept {
		n.states[s.Client] = s.State
	}
	n.mu.Unlock()
	n.update()
}

// Keep makes the status line show these clients and no others.
func (n *Notifier) Keep(clients []*flow.Client) {
	if !managed() {
		return
	}
	n.mu.Lock()
	n.states = make(map[string]flow.ClientState, len(clients))
	for _, c := range clients { // with mu held, so that a later change comes after this
		n.states[c.Name()] = c.Status().State
	}
	n.mu.Unlock()
	n.update()
}

// update makes loop send the status line.
func (n *Notifier) update() {
	select {
	case n.changed <- struct{}{}:
	default: // a pending update will include this
	}
}

// Start notifies the manager that the service is ready, alive and ending, until the
// returned function is called, which waits for it. ping asks whether the store answers.
//
// The service is ready when it listens and its store is open. Logins continue then: an
// unreachable provider must not delay clients of other providers.
func (n *Notifier) Start(ctx context.Context, ping func(context.Context) error) (stop func()) {
	if !managed() {
		return func() {}
	}
	n.Ready()
	ended, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		n.loop(ctx, ended, ping)
	}()
	return func() { close(ended); <-left }
}

func (n *Notifier) loop(ctx context.Context, ended <-chan struct{}, ping func(context.Context) error) {
	var tick <-chan time.Time
	if n.every > 0 {
		t := time.NewTicker(n.every)
		defer t.Stop()
		tick = t.C
	}
	stopping := ctx.Done()
	for {
		select {
		case <-n.changed:
			n.send("STATUS=" + n.summary())
		case <-tick: // while it drains, too
			n.alive(ctx, ping)
		case <-stopping:
			n.send(daemon.SdNotifyStopping + "\nSTATUS=ending: finishing requests and refreshes")
			stopping = nil
		case <-ended:
			if stopping != nil {
				n.send(daemon.SdNotifyStopping)
			}
			return
		}
	}
}

// Reloading notifies the manager that a reload has begun; Ready, that it has ended.
func (n *Notifier) Reloading() {
	n.send(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// Ready notifies the manager that the service is ready, at the start and after a reload.
func (n *Notifier) Ready() { n.send(daemon.SdNotifyReady + "\nSTATUS=" + n.summary()) }

// alive feeds the watchdog if the store answers, even with an error: a restart would not
// fix a full disk, and would lose the tokens in memory that can still be served. A
// store that hangs does not feed it.
func (n *Notifier) alive(ctx context.Context, ping func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.every)
	defer cancel()
	err, status := ping(ctx), n.summary()
	switch {
	case ctx.Err() != nil:
		n.log.ErrorContext(ctx, "the store hangs", "for", n.every, "reason", err,
			"hint", "check the disk of the store; the service manager restarts the service when it does not recover")
		return
	case err != nil:
		status = "the store fails, see /readyz; " + status
	}
	n.send(daemon.SdNotifyWatchdog + "\nSTATUS=" + status)
}

// summary returns the status line for systemctl status.
func (n *Notifier) summary() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	ready, others := 0, []string{}
	for name, state := range n.states {
		if state == flow.StateReady {
			ready++
			continue
		}
		others = append(others, fmt.Sprintf("%s: %s", name, state))
	}
	slices.Sort(others)
	return strings.Join(append([]string{fmt.Sprintf("%d of %d clients ready", ready, len(n.states))}, others...), "; ")
}

// send notifies the manager. An error does not end the service.
func (n *Notifier) send(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("cannot notify the service manager", "reason", err, "hint", "check NOTIFY_SOCKET, and NotifyAccess= of the unit")
	}
}
