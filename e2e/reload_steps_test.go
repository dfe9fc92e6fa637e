package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tokend/internal/mutation"
)

// step is a piece of behaviour that is removed from a file. tests is a package,
// with the name of one of its tests to be faster, or the name of a test here.
type step struct{ step, file, old, new, tests string }

// reloadSteps are the effects of a reload, and what it must keep.
var reloadSteps = []step{
	{"a broken file changes nothing", "cmd/tokend/reload.go", "if err == nil {\n\t\tdone, err = s.apply(next)\n\t}", "if _, failed := s.apply(next); err == nil {\n\t\terr = failed\n\t}", "TestReload_BrokenFile"},
	{"a broken file is reported", "cmd/tokend/reload.go", "s.refuse(ctx, err)", "", "TestReload_BrokenFile"},
	{"a removed key opens nothing", "cmd/tokend/reload.go", "keys, err := s.keys(next)", "keys, err := s.keys(s.settings)", "TestReload_RemovedKey"},
	{"the new clients are served", "cmd/tokend/reload.go", "s.daemon.Replace(s.keeper.served(made), keys)", "s.daemon.Replace(s.keeper.served(s.kept), keys)", "TestReload"},
	{"an unchanged client stays", "cmd/tokend/keep.go", "before != nil && before.settings.SameGrant(*cl)", "before != nil && false", "cmd/tokend"},
	{"pending logins stay", "internal/daemon/logins.go", "return l.Key == c.key() &&", "return l.Key != c.key() &&", "TestReload_PendingLogin"},
	{"a reload ends no grant", "cmd/tokend/reload.go", "activate(made, s.kept)", "activate(made, s.kept)\n\tfor _, k := range s.kept {\n\t\t_ = k.client.Forget(context.Background())\n\t}", "TestReload_Killed"},
	{"grants are in a file", "cmd/tokend/serve.go", "store.Open(ctx, s.Store, o)", "store.Open(ctx, \"sqlite::memory:\", o)", "TestReload_Killed"},
	{"a request that waits keeps its client", "internal/daemon/lives.go", "if l.retired = true; l.uses == 0 {", "if l.retired = true; true {", "internal/daemon"},
	{"SIGHUP is caught where it was ignored", "cmd/tokend/hangups.go", "if h.stop != nil {", "if false {", "TestReload_SignalDuringStart"},
	{"SIGHUP waits for the start", "cmd/tokend/hangups.go", "h := hangups{c: make(chan os.Signal, 1), stop: stop}", "h := hangups{c: make(chan os.Signal), stop: stop}", "TestReload_SignalDuringStart"},
	{"SIGHUP does not end the service", "cmd/tokend/serve.go", "Annotations: map[string]string{reloads: \"\"},", "", "TestReload_SignalDuringStart"},
	{"no reload while the service ends", "cmd/tokend/reload.go", "case <-ctx.Done():\n\t\t\t\treturn\n", "", "TestReload_ThenTerminated"},
	{"the manager is notified of the end of a reload", "cmd/tokend/reload.go", "if ctx.Err() == nil { // otherwise the manager", "if false { // otherwise the manager", "cmd/tokend"},
	{"and of its beginning", "cmd/tokend/reload.go", "s.manager.Reloading()", "", "cmd/tokend"},
	{"a rejected client is asked again", "cmd/tokend/reload.go", "k.client.Retry() // the provider", "_ = k // the provider", "cmd/tokend"},
}

// recoverySteps make a client ready again after a transient error.
var recoverySteps = []step{
	{"one 503: replayed in the overlap", "pkg/flow/decide.go", "in.Replays < maxReplays && c.inLeeway(g, now)", "false", "pkg/flow"},
	{"one invalid_client: probed on request", "pkg/flow/decide.go", "if g != nil && g.Rejected != nil && !w.probe {", "if g != nil && g.Rejected != nil {", "TestRecovery_ReadyWithoutRestart"},
	{"a failed second login: no failed refresh", "pkg/flow/headless.go", "if prior.exists() && prior.State != GrantDead && prior.RefreshToken != \"\" {", "if false {", "TestRecovery_ReadyWithoutRestart"},
	{"a page at the first login: retried", "pkg/flow/decide.go", "if c.kind.unattended {", "if c.kind.unattended && c.backoffs[loginBackoff].active(now) == nil {", "pkg/flow"},
}

// TestEveryStepOfTheRecovery removes the steps, one at a time. MUTANTS=all or
// MUTANTS=recovery tries all; otherwise it tries one.
func TestEveryStepOfTheRecovery(t *testing.T) { removeSteps(t, "recovery", recoverySteps) }

// TestEveryStepOfTheReload removes the steps, one at a time. MUTANTS=all or
// MUTANTS=reload tries all; otherwise it tries one.
func TestEveryStepOfTheReload(t *testing.T) { removeSteps(t, "reload", reloadSteps) }

// removeSteps removes the steps of a list, one at a time; the test of each, or
// another one of its package, must fail then.
func removeSteps(t *testing.T, list string, steps []step) {
	t.Helper()
	for i, s := range steps {
		if wanted := os.Getenv("MUTANTS"); i > 0 && wanted != "all" && wanted != list {
			continue
		}
		t.Run(s.step, func(t *testing.T) {
			m, err := mutation.Replace(filepath.Join("..", filepath.FromSlash(s.file)), s.old, s.new)
			if err != nil {
				t.Fatal(err)
			}
			test, err := m.CaughtBy(testsOf(s.tests)...)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("caught by %s", test)
		})
	}
}

// testsOf returns the tests of a step.
func testsOf(names string) []mutation.Tests {
	dir, name, found := strings.Cut(names, " ")
	switch {
	case found:
		return []mutation.Tests{{Dir: own(dir)[0].Dir, Args: []string{"-run", "^(" + name + ")", "."}}}
	case strings.HasPrefix(names, "Test"):
		return []mutation.Tests{{Args: []string{"-run", "^" + names + "$", "."}}}
	}
	return own(names)
}
