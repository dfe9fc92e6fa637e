package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	"example.com/tokend/internal/audit"
	"example.com/tokend/internal/config"
	"example.com/tokend/internal/daemon"
	"example.com/tokend/internal/events"
	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/metrics"
	"example.com/tokend/internal/requestid"
	"example.com/tokend/internal/store"
	"example.com/tokend/internal/systemd"
	"example.com/tokend/internal/trace"
	"example.com/tokend/pkg/flow"
)

// serving is a running "tokend serve", and the configuration that is active in it.
type serving struct {
	settings settings
	port     int // of the TCP listener; 0: none
	grants   *store.Store
	manager  *systemd.Notifier
	restored *restoredWarning
	hub      *events.Hub
	metrics  *metrics.Metrics
	audit    *audit.Log    // nil: none
	trace    *trace.Tracer // nil: none
	issuers  issuers

	keysVersion fileVersion // of the file of the API keys
	keysFailure string      // why that file was not reloaded, "" if it was
	log         *slog.Logger

	keeper keeper
	kept   []*kept
	daemon *daemon.Daemon
	files  *fileKeeper
}

// note records a client's state. It does not block.
func (s *serving) note(st flow.Status) {
	s.manager.Note(st)
	s.restored.note(st)
}

// build creates the clients, their files and the API over them, and starts nothing.
func (s *serving) build() (err error) {
	if s.kept, err = s.keeper.keep(s.settings.Clients, nil); err != nil {
		return err
	}
	if err := s.makeKey(); err != nil {
		return err
	}
	keys, err := s.keys(s.settings)
	if err != nil {
		return err
	}
	s.daemon, err = daemon.New(daemon.Config{
		Clients: s.keeper.served(s.kept), Keys: keys, Logins: s.grants, Ready: s.ping, Version: buildVersion(), Log: s.log,
		Events: s.hub, Audit: s.audit, Rate: float64(s.settings.CallerRate), Watch: watchOf(s.grants), WatchError: s.grants.WatchErrors(), Processes: s.grants.Processes, Metrics: s.metrics, Trace: s.trace, IDs: requestid.New(rand.Text()[:12]),
		Store: s.settings.shownStore(), SessionKey: s.sessionKey(), Settings: shownSettings,
	})
	activate(s.kept, nil)
	s.files = newFileKeeper(allFiles(s.kept))
	return err
}

// keys returns the API keys. With a TCP listener one of them opens all clients.
func (s *serving) keys(from settings) ([]daemon.Key, error) {
	limited, err := from.limitedKeys(s.issuers)
	switch {
	case err != nil:
		return nil, err
	case from.APIKey != "":
		return append([]daemon.Key{{Name: "main", Secret: from.APIKey}}, limited...), nil
	case s.port != 0:
		return nil, hintf(exitConfig, "restore it, or restart the service to create a new key",
			"API key file %s does not exist", from.APIKeyFile)
	}
	return limited, nil
}

// makeKey creates the API key file if the service has a TCP listener and no key yet. Only
// a start does this: a reload writes nothing.
func (s *serving) makeKey() error {
	if s.settings.APIKey != "" || s.port == 0 {
		return nil
	}
	key, made, err := readOrCreateKey(s.settings.APIKeyFile)
	if made {
		s.log.Info("created an API key", "file", s.settings.APIKeyFile)
	}
	s.settings.APIKey = key
	return err
}

// reloadOn reloads the configuration at each signal, one after the other, until
// ctx ends. The returned function waits for a running reload.
func (s *serving) reloadOn(ctx context.Context, signals <-chan os.Signal) (wait func()) {
	ended := make(chan struct{})
	ctx, stop := context.WithCancel(ctx)
	loaded := s.restored.loaded
	go func() {
		defer close(ended)
		look := time.NewTicker(lookAgain)
		defer look.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-loaded:
				loaded = nil
				freeMemory(len(s.kept))
			case <-signals:
				s.reload(ctx)
			case <-look.C:
				s.reloadKeys(ctx)
			}
		}
	}()
	return func() { stop(); <-ended }
}

// lookAgain is how often the file of the API keys is checked: how long a key that was
// revoked can still be used.
const lookAgain = time.Second

// reloadKeys activates the API keys of a file that has changed. If it cannot be read, the
// former keys stay, and the log says why, once per reason. It is then read again until it
// can be: chmod and chown change no version.
func (s *serving) reloadKeys(ctx context.Context) {
	version := versionOf(s.settings.APIKeysFile)
	if version == s.keysVersion && s.keysFailure == "" || ctx.Err() != nil {
		return
	}
	changed, failure := version != s.keysVersion, s.keysFailure
	s.keysVersion, s.keysFailure = version, ""
	next := s.settings
	var err error
	if next.StoredKeys, err = config.StoredKeys(next.APIKeysFile); err == nil {
		if reflect.DeepEqual(next.StoredKeys, s.settings.StoredKeys) {
			return // a start or a reload has read it
		}
		var keys []daemon.Key
		if keys, err = s.keys(next); err == nil {
			err = s.daemon.Replace(s.keeper.served(s.kept), keys)
		}
	}
	switch {
	case errors.Is(err, daemon.ErrEnded):
	case err != nil:
		s.keysFailure = err.Error()
		if changed || s.keysFailure != failure {
			logFailure(ctx, s.log, "the API keys are not reloaded, the former ones stay", err, "correct the file")
		}
	default:
		s.settings = next
		s.log.InfoContext(ctx, "API keys reloaded", "keys", len(next.StoredKeys))
	}
}

// reload activates the current configuration, or changes nothing and logs why.
func (s *serving) reload(ctx context.Context) {
	if ctx.Err() != nil { // the service ends
		return
	}
	s.manager.Reloading()
	defer func() {
		if ctx.Err() == nil { // otherwise the manager is notified of the end
			s.manager.Ready()
		}
	}()
	next, err := loadServiceSettings()
	var done config.Comparison
	if err == nil {
		done, err = s.apply(next)
	}
	switch {
	case errors.Is(err, daemon.ErrEnded):
		return
	case err != nil:
		s.refuse(ctx, err)
		return
	}
	s.log.InfoContext(ctx, "configuration reloaded", "added", joined(done.Added), "changed", joined(done.Changed),
		"removed", joined(done.Removed), "unchanged", len(done.Unchanged))
}

// apply prepares everything that next needs, and then switches.
func (s *serving) apply(next settings) (config.Comparison, error) {
	made, err := s.keeper.keep(next.Clients, s.kept)
	if err != nil {
		return config.Comparison{}, err
	}
	keys, err := s.keys(next)
	if err != nil {
		return config.Comparison{}, err
	}
	if err := s.daemon.Replace(s.keeper.served(made), keys); err != nil {
		return config.Comparison{}, err
	}
	s.audit.Reopen()
	activate(made, s.kept)
	s.manager.Keep(flowClients(made))
	s.restored.keep(made)
	s.files.replace(allFiles(made))
	before := byName(s.kept)
	for _, k := range made {
		if was := before[k.settings.Name]; was != nil && was.client == k.client {
			k.client.Retry() // the provider's settings may have been corrected
		}
	}
	if names := s.settings.NeedsRestart(next.Config); names != nil {
		s.log.Warn("a reload does not apply these settings of the service", "settings", joined(names), "hint", "restart the service")
	}
	done := config.Compare(s.settings.Clients, next.Clients)
	s.settings, s.kept = next, made
	freeMemory(len(made))
	return done, nil
}

// freeMemory gives back what it took to read a large configuration, or the grants of its
// clients.
func freeMemory(clients int) {
	if clients > 1000 {
		debug.FreeOSMemory()
	}
}

// heapFloor is what a service adds to its live heap when the runtime computes the size
// for the next collection. A service with few clients has a live heap of some MiB, and
// would collect garbage every few hundred requests: with this, a read of a token costs a
// tenth less. The memory is never touched, so it is not resident, and never scanned.
const heapFloor = 16 << 20

// refuse logs why a configuration was not reloaded.
func (s *serving) refuse(ctx context.Context, err error) {
	logFailure(ctx, s.log, "configuration not reloaded, the old one stays active", err, "correct the configuration and reload again")
}

// logFailure logs an error with its reason and what to do about it: each error of a
// configuration on a line of its own. advice is for an error without a hint.
func logFailure(ctx context.Context, log *slog.Logger, msg string, err error, advice string) {
	var lines config.Faults
	if !errors.As(err, &lines) {
		lines = config.Faults{{Text: err.Error(), Hint: hint.Of(err)}}
	}
	for _, f := range lines {
		log.ErrorContext(ctx, msg, "reason", f.Message(), "hint", cmp.Or(f.Hint, advice)) //nolint:sloglint // msg is a constant of the caller
	}
}

// joined returns a list of names for the log.
func joined(names []string) string { return strings.Join(names, ",") }
