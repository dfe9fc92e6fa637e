package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

const doctorHelp = `Looks for the usual causes of failure and says what to change: configuration,
files, machine, service, and of each client (or of those named) the tenant, the
login and the grant. It changes nothing, signs nobody in and spends nothing; a
service may run meanwhile or not. Run it with the variables of the service.

The tenant sees GET requests: discovery, keys, and /authorize with prompt=none.
--probe-secret adds a token request with a made-up code, which finds a wrong
client secret and stands in the tenant's log as a failed exchange.

Exit code 0 when there is no problem, warnings or not; else that of the worst:
78 configuration, 69 service, 77 login or key refused, 76 nonsense from the
tenant, 75 try again.`

// doctorPatience is how long all checks together take without --timeout.
const doctorPatience = 30 * time.Second

func (p *program) doctor() *cobra.Command {
	var d doctor
	var format string
	cmd := &cobra.Command{
		Use: "doctor [NAME…]", Short: "Find the usual causes of failure and say what to change", Long: doctorHelp,
		RunE: func(cmd *cobra.Command, names []string) error { return p.examine(cmd.Context(), &d, names, format) },
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	cmd.Flags().BoolVar(&d.offline, "offline", false, "do not ask the tenants")
	cmd.Flags().BoolVar(&d.probeSecret, "probe-secret", false, "try the client secret with a made-up code")
	return cmd
}

// doctor is one examination: what is looked at, and what was learnt on the way.
type doctor struct {
	offline, probeSecret bool

	machine  machine
	now      func() time.Time
	settings settings
	faults   config.Faults
	names    []string        // asked for, of any service
	clients  []config.Client // of these, those that are configured here
	running  running
	remote   string // where a service is that has its own configuration; "": not known of
}

// finding is what a check has found, and where.
type finding struct {
	Area   string `json:"area"` // configuration, environment, service, client
	Client string `json:"client,omitempty"`
	flow.Finding
}

// checks are made in this order: the service's answers serve the clients' checks.
var checks = []struct {
	area string
	run  func(*doctor, context.Context) []flow.Finding
}{
	{"configuration", (*doctor).checkSettings},
	{"configuration", (*doctor).checkAPIKey},
	{"configuration", (*doctor).checkSocketPath},
	{"configuration", (*doctor).checkStore},
	{"configuration", (*doctor).checkWritable},
	{"configuration", (*doctor).checkOwners},
	{"configuration", (*doctor).checkMixUp},
	{"environment", (*doctor).checkDirectories},
	{"environment", (*doctor).checkDisk},
	{"environment", (*doctor).checkFileLimit},
	{"environment", (*doctor).checkProxy},
	{"environment", (*doctor).checkLoopbackProxy},
	{"service", (*doctor).checkDoors},
	{"service", (*doctor).checkCallerKey},
	{"service", (*doctor).checkVersion},
	{"service", (*doctor).checkServed},
}

func (p *program) examine(ctx context.Context, d *doctor, names []string, format string) error {
	if format != "table" && format != "json" {
		return exitf(exitUsage, "format %q is not one of table, json", format)
	}
	var err error
	if d.settings, err = loadSettings(); !errors.As(err, &d.faults) && err != nil {
		return err
	}
	d.machine = thisMachine()
	if p.machine != nil {
		d.machine = *p.machine
	}
	if d.now = p.now; d.now == nil {
		d.now = time.Now
	}
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	d.names = names
	if d.elsewhere(ctx) || len(d.settings.Clients) == 0 {
		names = nil // they are the service's to know, or the fault is that there are none
	}
	if d.clients, err = chosen(d.settings.Clients, names); err != nil {
		return err
	}
	found := d.examine(ctx)
	if err := d.unknown(); err != nil {
		return err
	}
	if err := p.writeFindings(found, format); err != nil {
		return exitWith(exitUnavailable, err)
	}
	return verdict(found)
}

// chosen are the clients of these names, all without names.
func chosen(all []config.Client, names []string) ([]config.Client, error) {
	if len(names) == 0 {
		return all, nil
	}
	var some []config.Client
	for _, name := range names {
		i := slices.IndexFunc(all, func(c config.Client) bool { return c.Name == name })
		if i < 0 {
			return nil, hintf(exitNoClient, fmt.Sprintf("the clients are %s", cmp.Or(strings.Join(namesOf(all), ", "), "none")),
				"client %q is not configured here", name)
		}
		some = append(some, all[i])
	}
	return some, nil
}

func namesOf(clients []config.Client) []string {
	var names []string
	for _, c := range clients {
		names = append(names, c.Name)
	}
	return names
}

// examine makes every check. Clients are looked at side by side: each may wait
// for its tenant.
func (d *doctor) examine(ctx context.Context) []finding {
	var found []finding
	for _, c := range checks {
		for _, f := range c.run(d, ctx) {
			found = append(found, finding{Area: c.area, Finding: f})
		}
	}
	of := make([][]flow.Finding, len(d.clients))
	var all sync.WaitGroup
	for i, c := range d.clients {
		all.Go(func() { of[i] = d.checkClient(ctx, c) })
	}
	all.Wait()
	for _, name := range d.served() {
		for _, f := range d.checkServedClient(d.running.clients[name]) {
			found = append(found, finding{Area: "client", Client: name, Finding: f})
		}
	}
	for i, c := range d.clients {
		for _, f := range of[i] {
			found = append(found, finding{Area: "client", Client: c.Name, Finding: f})
		}
	}
	return found
}

// verdict is nil without a problem, else the exit code of the worst; the report
// has told the rest.
func verdict(found []finding) error {
	var codes []int
	for _, f := range found {
		if f.Result == flow.ResultProblem {
			codes = append(codes, codeOfClass(f.Class))
		}
	}
	if len(codes) == 0 {
		return nil
	}
	return &exitError{code: worst(codes), err: errors.New("problems were found"), told: true}
}

// The findings of one check.

func good(check, text string) []flow.Finding {
	return []flow.Finding{{Check: check, Result: flow.ResultOK, Text: text}}
}

func warn(check, text, hint string) []flow.Finding {
	return []flow.Finding{{Check: check, Result: flow.ResultWarning, Text: text, Hint: hint}}
}

func skip(check, why string) []flow.Finding {
	return []flow.Finding{{Check: check, Result: flow.ResultSkipped, Text: why}}
}

func bad(check string, class flow.Class, text, hint string) []flow.Finding {
	return []flow.Finding{{Check: check, Result: flow.ResultProblem, Class: class, Text: text, Hint: hint}}
}

// badError is a problem with the text and the hint of err.
func badError(check string, class flow.Class, err error) []flow.Finding {
	return bad(check, class, oneLine(err.Error()), oneLine(hint.Of(err)))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
