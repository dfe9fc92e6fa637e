package main

import (
	"log/slog"
	"strings"
	"testing"

	"example.com/tokend/internal/config"
	"example.com/tokend/pkg/flow"
)

func TestRestoredIsLoggedOnceWhenEveryClientIsKnown(t *testing.T) {
	status := func(name string, state flow.ClientState) flow.Status { return flow.Status{Client: name, State: state} }
	log := &syncBuffer{}
	clients := make([]config.Client, 4)
	for i, name := range []string{"web", "ci", "gone", "new"} {
		clients[i].Name = name
	}
	w := newRestoredWarning(clients, slog.New(slog.NewTextHandler(log, nil)))
	for _, s := range []flow.Status{
		status("web", flow.StateRestored), status("web", flow.StateRestored), status("new", flow.StateStarting), status("other", flow.StateRestored),
		status("new", flow.StateReady), status("ci", flow.StateRestored),
	} {
		w.note(s)
		if log.String() != "" {
			t.Errorf("%s %s: logged before every client is known: %s", s.Client, s.State, log)
		}
	}
	w.keep([]*kept{{settings: &clients[0]}, {settings: &clients[1]}, {settings: &clients[3]}})
	if got := log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "clients=2 first=ci") || !strings.Contains(got, `hint="tokend resume ci if`) {
		t.Errorf("log %q", got)
	}
	w.note(status("web", flow.StateRestored))
	w.keep(nil)
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines", n)
	}
	log = &syncBuffer{}
	w = newRestoredWarning(clients[:1], slog.New(slog.NewTextHandler(log, nil)))
	w.note(status("web", flow.StateReady))
	w.note(status("web", flow.StateRestored))
	if log.String() != "" {
		t.Errorf("nothing was put back before the start: %s", log)
	}
}
