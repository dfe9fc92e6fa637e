package main

import (
	"log/slog"
	"strings"
	"testing"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/tokenfile"
	"example.com/tokend/pkg/flow"
)

// keptSettings returns settings that keep accepts.
func keptSettings(name string) config.Client {
	return config.Client{Config: flow.Config{
		Name: name, Issuer: "https://tenant.example.com/", ClientID: name, ClientSecret: canarySecret, Source: flow.ClientCredentials{},
	}}
}

// A client that keeps its grant in the same way stays the same object when other
// settings change.
func TestF35_Keep_UnchangedClients(t *testing.T) {
	k := keeper{grants: flow.NewMemoryStore(), log: slog.New(slog.DiscardHandler), note: func(flow.Status) {}, providers: providers{}}
	old, err := k.keep([]config.Client{keptSettings("demo")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*config.Client)
		same   bool
	}{
		"nothing": {func(*config.Client) {}, true},
		"hosts":   {func(s *config.Client) { s.Hosts = []string{"git.example.com"} }, true},
		"files":   {func(s *config.Client) { s.Files = []tokenfile.Config{{Path: "/run/tokend/token"}} }, true},
		"secret":  {func(s *config.Client) { s.ClientSecret = "another" }, false},
		"scopes":  {func(s *config.Client) { s.Scopes = []string{"another"} }, false},
	} {
		s := keptSettings("demo")
		tc.change(&s)
		next, err := k.keep([]config.Client{s}, old)
		if err != nil {
			t.Fatal(err)
		}
		if same := next[0].client == old[0].client; same != tc.same {
			t.Errorf("%s: the same client: %v", name, same)
		}
	}
}

// A file with the same configuration stays the same object, and keeps running. With
// another client or another setting it is another object.
func TestF35_Keep_UnchangedFiles(t *testing.T) {
	k := keeper{grants: flow.NewMemoryStore(), log: slog.New(slog.DiscardHandler), note: func(flow.Status) {}, providers: providers{}}
	s := keptSettings("demo")
	s.Files = []tokenfile.Config{{Path: "/run/tokend/one"}, {Path: "/run/tokend/two"}}
	old, err := k.keep([]config.Client{s}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Files = []tokenfile.Config{{Path: "/run/tokend/two"}, {Path: "/run/tokend/one", Format: "header"}}
	next, err := k.keep([]config.Client{s}, old)
	if err != nil {
		t.Fatal(err)
	}
	if next[0].files[0] != old[0].files[1] || next[0].files[1] == old[0].files[0] {
		t.Errorf("files %v, before %v", next[0].files, old[0].files)
	}
	s.ClientSecret = "another"
	if next, err = k.keep([]config.Client{s}, next); err != nil || next[0].files[0] == old[0].files[1] {
		t.Errorf("the file of a changed client asks the old one (%v)", err)
	}
}

// Only active clients report, each to its current files.
func TestF35_Activate(t *testing.T) {
	noted := map[string]int{}
	k := keeper{grants: flow.NewMemoryStore(), log: slog.New(slog.DiscardHandler), note: func(s flow.Status) { noted[s.Client]++ }, providers: providers{}}
	old, err := k.keep([]config.Client{keptSettings("stays"), keptSettings("goes")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	activate(old, nil)
	s := keptSettings("stays")
	s.Files = []tokenfile.Config{{Path: "/run/tokend/token"}}
	next, err := k.keep([]config.Client{s, keptSettings("comes")}, old)
	if err != nil {
		t.Fatal(err)
	}
	next[1].changes.report(flow.Status{Client: "comes"})
	if noted["comes"] != 0 {
		t.Error("a client reports before it is active")
	}
	activate(next, old)
	for _, list := range [][]*kept{old[1:], next} {
		for _, c := range list {
			c.changes.report(flow.Status{Client: c.settings.Name})
		}
	}
	if noted["goes"] != 0 || noted["stays"] != 1 || noted["comes"] != 1 {
		t.Errorf("reports: %v", noted)
	}
	if files := *next[0].changes.files.Load(); len(files) != 1 || files[0] != next[0].files[0] {
		t.Error("the client that stays does not wake its new file")
	}
}

// Clients of one issuer share a provider.
func TestOneProviderForEachIssuer(t *testing.T) {
	clean(t)
	setenv(t, "TOKEND_CLIENTS=a,b,c")
	for name, issuer := range map[string]string{"A": "https://one.example.com/", "B": "https://one.example.com/", "C": "https://two.example.com/"} {
		setenv(t, "TOKEND_CLIENT_"+name+"_ISSUER="+issuer, "TOKEND_CLIENT_"+name+"_CLIENT_ID=x")
	}
	s, err := loadSettings()
	if err != nil {
		t.Fatal(err)
	}
	ps := providers{}
	defer ps.close()
	clients, _, err := s.keepAlone(ps, flow.NewMemoryStore(), nil, s.logger(&strings.Builder{}))
	if err != nil || len(clients) != 3 || len(ps) != 2 || ps["https://one.example.com/"].Issuer() != "https://one.example.com/" {
		t.Errorf("%d clients, %d providers, %v", len(clients), len(ps), err)
	}
}
