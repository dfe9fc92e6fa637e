package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/daemon"
	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/storeurl"
	"example.com/tokend/pkg/tokend"
)

const dashboardHelp = `Prints a link to the dashboard of the running service, and opens it in a browser if
standard output is a terminal. The link works once, within a minute, in a browser of
the service's machine; the session that it opens has the rights of this command: those
of TOKEND_API_KEY or TOKEND_API_KEY_FILE if one is set, which needs the TCP listener,
and otherwise all.

--print only prints the link, for a browser on another machine that reaches the port
by ssh -L 8484:127.0.0.1:8484.`

func (p *program) dashboard() *cobra.Command {
	only := false
	cmd := &cobra.Command{
		Use: "dashboard", Short: "Open the dashboard in a browser", Long: dashboardHelp, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := reachAsKey(cmd.Context())
			if err != nil {
				return err
			}
			defer s.Close()
			l, err := call(cmd.Context(), s.Dashboard)
			if tokend.NotListening(err) && explicitKey() != "" {
				return hintf(exitUnavailable, dashboardSocketHint, "the session of %s needs the TCP listener: %w", explicitKey(), err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(p.stdout, l.URL.Reveal())
			if !only && !p.limits.noInput && p.screenOf(p.stdout).IsTerminal() {
				loginRun{program: p}.open(cmd.Context(), l.URL.Reveal())
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&only, "print", false, "print the link, and open no browser")
	return cmd
}

const dashboardSocketHint = "start tokend serve with a listener (TOKEND_LISTEN, TOKEND_ADDR), or unset the key: then the session has all rights of the socket"

// explicitKey returns the variable that sets an API key, "" without one.
func explicitKey() string {
	for _, name := range []string{"TOKEND_API_KEY", "TOKEND_API_KEY_FILE"} {
		if os.Getenv(name) != "" {
			return name
		}
	}
	return ""
}

// reachAsKey is reach for the caller of the API key that is set: over the unix socket the
// key would have no effect, and the session would have all rights.
func reachAsKey(ctx context.Context) (service, error) {
	s, err := reach(ctx)
	if err != nil || explicitKey() == "" {
		return s, err
	}
	at := s.Service()
	at.Addrs = slices.DeleteFunc(slices.Clone(at.Addrs), func(addr string) bool { return strings.HasPrefix(addr, "unix:") })
	if len(at.Addrs) == 0 {
		return s, hintf(exitConfig, dashboardSocketHint, "%s is set, and the service is known only by its socket, where the key has no effect", explicitKey())
	}
	return serviceAt(at)
}

// sessionKey returns what seals the sessions of the dashboard, so that they survive a
// restart. A service that cannot keep it has sessions that end with it.
func (s *serving) sessionKey() []byte {
	if s.port == 0 || s.settings.APIKeysFile == "" {
		return nil
	}
	path := filepath.Join(filepath.Dir(s.settings.APIKeysFile), "dashboard.key")
	key, _, err := readOrCreateKey(path)
	if err != nil {
		s.log.Info("sessions of the dashboard end with the service", "reason", err.Error(), "file", path, "hint", hint.Of(err))
		return nil
	}
	return []byte(key.Reveal())
}

// shownStore is the store's URL without a password.
func (s settings) shownStore() string {
	u, err := storeurl.Parse(s.Store)
	if err != nil {
		return ""
	}
	return u.String()
}

// shownSettings returns the settings as they are now, for the dashboard.
func shownSettings() ([]daemon.Setting, error) {
	env := config.OS()
	list, faults := config.Show(env, config.ServicePaths(env))
	if faults != nil {
		return nil, faults
	}
	shown := make([]daemon.Setting, len(list))
	for i, s := range list {
		value, err := yamlValue(s.Value)
		if err != nil {
			return nil, err
		}
		shown[i] = daemon.Setting{Name: s.Setting, Value: value, Source: s.Source}
	}
	return shown, nil
}
