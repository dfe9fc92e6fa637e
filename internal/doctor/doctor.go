// Package doctor looks for the usual causes of failure in tokend's configuration, on
// the machine, at the service and at the providers. It changes nothing, starts
// no login, and prints nothing.
package doctor

import (
	"context"
	"strings"
	"sync"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/tokend"
)

// The classes of what only doctor meets; the others are those of pkg/flow.
const (
	ClassService       flow.Class = "service_unreachable" // the service does not answer, or something else does
	ClassKey           flow.Class = "unauthorized"        // the service rejects the API key
	ClassUnknownClient flow.Class = "unknown_client"      // a name that the service does not have
)

// Deps are what an examination reads, and how far it goes.
type Deps struct {
	Settings Settings
	Names    []string // the clients asked for; none: all. Those of Settings are of these names
	Version  string   // of this program

	Offline     bool // do not ask the providers
	ProbeSecret bool // try the client secrets with a made-up code

	Getenv  func(string) string
	Locate  func(string) string // Getenv, with where the configuration file says that the service is
	Now     func() time.Time
	Machine Machine

	// CheckStore opens the store read-only, and reports whether it exists.
	CheckStore func(context.Context) (exists bool, err error)
	// StoreUnreachable is the error of CheckStore for a database that does not answer.
	StoreUnreachable error
	// CheckAudit returns why the audit file cannot be written, or nil.
	CheckAudit func() error
	// LoginHint says how a client gets a grant, and what a person does for it.
	LoginHint func(*tokend.Status) string
	// FailureHint says what to do about the client's failure, "" if nothing is known.
	FailureHint func(*tokend.Status) string
}

// Settings are the configuration of the service, as far as it could be read.
type Settings struct {
	Problems []Problem
	NoClient bool // the only problem is that no client is configured

	// Wrong reports whether a problem is about one of these settings, such as "store" or
	// "clients.demo". nil: none is.
	Wrong func(settings ...string) bool

	Listen    Listener
	Socket    string // "": none
	Store     string // its URL, without a password
	StoreDir  string // of the store, or of its spill on this machine; "": there is none
	StoreFile string // "": the store has none

	StoreRemote   bool // a database, perhaps on another machine
	PasswordInURL bool // the store's URL has a password

	KeysetErr  error  // why the keyset of a variable cannot be read
	APIKey     bool   // there is one
	APIKeyFile string // where tokend serve makes one; "": there is no default place

	Clients []Client // those asked for
	All     []Client
}

// Problem is something that is wrong with the configuration.
type Problem struct{ Text, Hint string }

// Listener is where tokend serve listens for TCP connections.
type Listener struct {
	Off  bool
	Addr string // as configured
	Host string // "": Addr cannot be read
	Port int    // 0: chosen at the start
}

// Client is a client of the configuration.
type Client struct {
	flow.Config
	Login string // "headless", "browser", "paste", "device"; "": it needs no login
}

// Finding is what a check has found, and where.
type Finding struct {
	Area   string `json:"area"` // configuration, environment, service, client
	Client string `json:"client,omitempty"`
	flow.Finding
}

// examination is one run of the checks, and what they have learned.
type examination struct {
	Deps
	running running
	remote  string // the address of a service with a configuration of its own; "": none is known
}

// checks run in this order: those of clients use the answers of the service.
var checks = []struct {
	area string
	run  func(*examination, context.Context) []flow.Finding
}{
	{"configuration", (*examination).checkSettings},
	{"configuration", (*examination).checkAPIKey},
	{"configuration", (*examination).checkSocketPath},
	{"configuration", (*examination).checkStore},
	{"configuration", (*examination).checkWritable},
	{"configuration", (*examination).checkOwners},
	{"configuration", (*examination).checkMixUp},
	{"environment", (*examination).checkDirectories},
	{"environment", (*examination).checkDisk},
	{"environment", (*examination).checkFileLimit},
	{"environment", (*examination).checkProxy},
	{"environment", (*examination).checkLoopbackProxy},
	{"service", (*examination).checkEndpoints},
	{"service", (*examination).checkReady},
	{"service", (*examination).checkCallerKey},
	{"service", (*examination).checkVersion},
	{"service", (*examination).checkServed},
	{"service", (*examination).checkAudit},
}

// Run makes every check and returns what it found: area by area, problems first, and
// each cause once. Clients are checked in parallel, because each may wait for its
// provider.
func Run(ctx context.Context, deps Deps) []Finding {
	x := &examination{Deps: deps}
	x.findRemote(ctx)
	var found []Finding
	for _, c := range checks {
		for _, f := range c.run(x, ctx) {
			found = append(found, Finding{Area: c.area, Finding: f})
		}
	}
	perClient := make([][]flow.Finding, len(x.Settings.Clients))
	var wg sync.WaitGroup
	for i, c := range x.Settings.Clients {
		wg.Go(func() { perClient[i] = x.checkClient(ctx, c) })
	}
	wg.Wait()
	add := func(name string, findings []flow.Finding) {
		for _, f := range findings {
			found = append(found, Finding{Area: "client", Client: name, Finding: f})
		}
	}
	for _, name := range x.served() {
		add(name, x.checkServedClient(x.running.clients[name]))
	}
	for i, c := range x.Settings.Clients {
		add(c.Name, perClient[i])
	}
	return arrange(found)
}

// The findings of one check.

func ok(check, text string) []flow.Finding {
	return []flow.Finding{{Check: check, Result: flow.ResultOK, Text: text}}
}

func warning(check, text, hint string) []flow.Finding {
	return []flow.Finding{{Check: check, Result: flow.ResultWarning, Text: text, Hint: hint}}
}

func skipped(check, why string) []flow.Finding {
	return []flow.Finding{{Check: check, Result: flow.ResultSkipped, Text: why}}
}

func problem(check string, class flow.Class, text, hint string) []flow.Finding {
	return []flow.Finding{{Check: check, Result: flow.ResultProblem, Class: class, Text: text, Hint: hint}}
}

// problemOf is a problem with the text and the hint of err.
func problemOf(check string, class flow.Class, err error) []flow.Finding {
	return problem(check, class, oneLine(err.Error()), oneLine(hint.Of(err)))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
