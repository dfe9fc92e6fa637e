package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/doctor"
)

const doctorHelp = `Finds the usual causes of failure and says what to change: in the configuration,
the files, the machine and the service, and for each client (or those named) at
its provider, in its login and its grant. It changes nothing, starts no login and
uses no refresh token. The service may be running or not. Run it with the variables
of the service.

A provider receives GET requests: discovery, keys, and /authorize with
prompt=none. --probe-secret adds a token request with a made-up code, which finds
a wrong client secret and appears in the provider's log as a failed exchange.

--quiet prints problems and warnings only, and nothing when there are none.

Exit code 0 when there is no problem, with or without warnings; else that of the
worst: 78 configuration, 69 service, 77 login or API key refused, 76 nonsense from
the provider, 75 try again.`

// doctorTimeout is how long all checks together may take without --timeout.
const doctorTimeout = 30 * time.Second

// doctorFlags are a command line of "tokend doctor".
type doctorFlags struct {
	format               string
	quiet                bool
	offline, probeSecret bool
}

func (p *program) doctor() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use: "doctor [NAME…]", Short: "Find the usual causes of failure and say what to change", Long: doctorHelp,
		RunE: func(cmd *cobra.Command, names []string) error { return p.examine(cmd.Context(), names, f) },
	}
	tableOrJSON(cmd, &f.format)
	cmd.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "print problems and warnings only")
	cmd.Flags().BoolVar(&f.offline, "offline", false, "do not ask the providers")
	cmd.Flags().BoolVar(&f.probeSecret, "probe-secret", false, "try the client secret with a made-up code")
	return cmd
}

// examine runs doctor and prints what it found.
func (p *program) examine(ctx context.Context, names []string, f doctorFlags) error {
	if err := checkFormat(f.format); err != nil {
		return err
	}
	deps, err := p.doctorDeps(names)
	if err != nil {
		return err
	}
	deps.Offline, deps.ProbeSecret = f.offline, f.probeSecret
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	found := doctor.Run(ctx, deps)
	for _, f := range found {
		if f.Class == classNoClient {
			return hintf(exitNoClient, f.Hint, "%s", f.Text)
		}
	}
	if err := p.printFindings(found, f); err != nil {
		return exitWith(exitUnavailable, err)
	}
	if code := worstFound(found); code != 0 {
		return &exitError{code: code, err: errors.New("problems were found"), told: true}
	}
	return nil
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
