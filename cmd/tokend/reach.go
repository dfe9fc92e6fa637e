package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/daemon"
	"example.com/tokend/internal/format"
	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/tokend"
)

// reached is a service that answers: the running one, or a private one in this process
// over the same store and its leases.
type reached struct {
	service
	private bool
	started func()       // marks the end of the start of a private one, whose failures are logged from then on
	end     func() error // of a private one: returns when every refresh in flight is stored
}

// reachFlags choose the service.
type reachFlags struct {
	private bool   // use a private service even if one runs
	verbose bool   // log everything that a private one does, not only its failures
	actions string // client that answers in the form of GitHub Actions
}

// reachOrKeep finds the service, or starts a private one for the named clients if none
// runs. TOKEND_ADDR means that service and no other.
func (p *program) reachOrKeep(ctx context.Context, names []string, flags reachFlags) (*reached, error) {
	absent := errors.New("--private uses no running service") // why no running service is used
	var there service
	found := false
	if !flags.private {
		var err error
		if there, err = reach(ctx); err != nil {
			return nil, err
		}
		found = true
		_, err = there.Health(ctx)
		err = exitFrom(err)
		named := os.Getenv(addrVariable) != ""
		switch {
		case err == nil && (named || there.belongsToUser(ctx)):
			p.warnOfOwn(ctx, there, names)
			return &reached{service: there, started: func() {}, end: func() error { return nil }}, nil
		case err == nil:
			if err := there.notReady(ctx); err != nil { // a private one would make a second store in its place
				return nil, err
			}
			found, err = false, there.keyless(ctx)
		case named:
			return there.awaited(ctx)
		case errors.Is(err, tokend.ErrForeign):
			found = false
		case !tokend.NotListening(err):
			return nil, err
		}
		absent = err
	}
	s, err := loadSettings()
	if f := config.Faults(nil); errors.As(err, &f) && f.NoClient() {
		if _, waits := ctx.Value(waitLimit{}).(time.Duration); waits && found {
			return there.awaited(ctx)
		}
		if e := (*exitError)(nil); errors.As(absent, &e) && e.code == exitNoPerm { // it runs
			return nil, hintf(exitNoPerm, e.Hint(), "%w, and no client is configured here", absent)
		}
		return nil, hintf(exitUnavailable, fmt.Sprintf("start it with tokend serve, or set TOKEND_CLIENTS=%s and TOKEND_CLIENT_%s_ISSUER, …", names[0], config.VariableOf(names[0])),
			"%w, and no client is configured here", absent)
	}
	if err != nil {
		return nil, err
	}
	if s.Clients, err = only(s.Clients, names); err != nil {
		return nil, err
	}
	return p.startPrivate(ctx, s, flags)
}

// warnOfOwn warns when the service's client differs from this environment's client of the
// same name.
func (p *program) warnOfOwn(ctx context.Context, s service, names []string) {
	for _, name := range names {
		setting := "TOKEND_CLIENT_" + config.VariableOf(name) + "_ISSUER"
		own := os.Getenv(setting)
		if own == "" {
			continue
		}
		c, err := s.Status(ctx, name)
		if err != nil || strings.TrimSuffix(c.Issuer, "/") == strings.TrimSuffix(own, "/") {
			continue // the request for its token reports the error
		}
		p.tell("warning: client %s is that of the running service, of %s, not that of %s; --private uses the settings here\n", name, c.Issuer, setting)
	}
}

// configuredHere reports whether the configuration here has a client.
func configuredHere(name string) bool {
	s, err := loadSettings()
	return err == nil && slices.ContainsFunc(s.Clients, func(c config.Client) bool { return c.Name == name })
}

// awaited returns the service once it answers, which --wait allows to take a while.
func (s service) awaited(ctx context.Context) (*reached, error) {
	_, err := s.health(ctx)
	return &reached{service: s, started: func() {}, end: func() error { return nil }}, err
}

// only keeps the clients of these names.
func only(clients []config.Client, names []string) ([]config.Client, error) {
	var all []string
	var found []config.Client
	for _, c := range clients {
		if all = append(all, c.Name); slices.Contains(names, c.Name) {
			c.Files = nil // they are for the service
			found = append(found, c)
		}
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, hintf(exitNoClient, fmt.Sprintf("the clients are %s", strings.Join(all, ", ")),
				"unknown_client: no client %q is configured", name)
		}
	}
	return found, nil
}

// silent is the level of a log without a line.
const silent = slog.LevelError + 100

// startPrivate serves on a free port of loopback, with a new key, until end.
func (p *program) startPrivate(ctx context.Context, s settings, flags reachFlags) (*reached, error) {
	var level slog.LevelVar
	level.Set(silent)
	if flags.verbose {
		level.Set(s.Level)
	}
	log := s.loggerAt(p.stderr, &level)
	grants, err := s.openStore(ctx)
	if err != nil {
		return nil, exitWith(exitConfig, err)
	}
	trail, err := s.openAudit(s.loggerAt(p.stderr, slog.LevelError)) // its entries are never silent
	if err != nil {
		return nil, errors.Join(err, grants.Close())
	}
	listeners, err := listenTCP(ctx, "TOKEND_LISTEN", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, trail.Close(), grants.Close())
	}
	key := flow.Secret(rand.Text())
	c := daemon.Config{Keys: []daemon.Key{{Name: "private", Secret: key}}, Logins: grants, Ready: grants.Ping, Version: buildVersion(), Audit: trail, Log: log}
	ps := providers{}
	c.Clients, _, err = s.keepAlone(ps, grants, trail, log)
	for i := range c.Clients {
		c.Clients[i].Login = "" // no listener could receive the redirect of a login page
		c.Clients[i].ActionsIDToken = c.Clients[i].ActionsIDToken || c.Clients[i].Name() == flags.actions
	}
	var d *daemon.Daemon
	if err == nil {
		d, err = daemon.New(c)
	}
	if err != nil {
		for _, l := range listeners {
			_ = l.Close() // no caller has its address
		}
		return nil, exitWith(exitConfig, errors.Join(err, trail.Close(), grants.Close()))
	}
	log.InfoContext(ctx, "listening", "network", "tcp", "addr", listeners[0].Addr().String())
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() {
		err := d.Run(serving, listeners...)
		ps.close()
		ended <- errors.Join(err, trail.Close(), grants.Close())
	}()
	own, err := serviceAt(tokend.Service{Addrs: []string{"http://" + listeners[0].Addr().String()}, Key: tokend.Secret(key)})
	if err != nil {
		panic(err) // a loopback address is valid
	}
	return &reached{
		service: own,
		private: true,
		started: func() { level.Set(min(level.Level(), slog.LevelError)) },
		end:     sync.OnceValue(func() error { stop(); own.Close(); return <-ended }),
	}, nil
}

// ask requests a client's token.
func (r *reached) ask(ctx context.Context, name string, minValidity time.Duration) (*tokend.Token, error) {
	t, err := r.token(ctx, tokend.TokenRequest{Client: name, MinValidity: minValidity})
	return t, r.explain(name, err)
}

// tokenFor returns a client's token that is valid for the requested time, or an error
// that says what to do.
func (r *reached) tokenFor(ctx context.Context, name string, minValidity time.Duration) (*tokend.Token, error) {
	t, err := r.ask(ctx, name, minValidity)
	if err != nil {
		return t, err
	}
	if !t.MinValiditySatisfied {
		return t, r.tooShort(ctx, name, t, minValidity)
	}
	return t, nil
}

// explain adds the client to an error, and for a private service its own hint.
func (r *reached) explain(name string, err error) error {
	var e *exitError
	if err == nil || !errors.As(err, &e) || e.reason == "" {
		return err
	}
	hint := e.Hint()
	if r.private && e.reason == tokend.CodeLoginRequired && e.remedy != tokend.RemedySetting {
		hint = loginFirst(name)
	}
	if !r.private && e.reason == tokend.CodeUnknownClient && configuredHere(name) {
		hint = "the running service does not have it, but the settings here do: --private uses them"
	}
	return &exitError{code: e.code, reason: e.reason, hint: hint, err: fmt.Errorf("client %s: %w", name, err)}
}

// tooShort says why a token is valid for less than requested: the refresh failed, or the
// provider's tokens do not live longer.
func (r *reached) tooShort(ctx context.Context, name string, t *tokend.Token, minValidity time.Duration) error {
	text := fmt.Sprintf("client %s: its token is valid for %s, not for %s", name, time.Duration(t.ExpiresIn)*time.Second, minValidity)
	c, err := r.status(ctx, name)
	switch {
	case err != nil:
		return err
	case c.Failure != nil:
		hint := cmp.Or(format.FailureHint(c), "try again")
		if r.private && c.Failure.Class == tokend.CodeLoginRequired && c.Failure.Remedy != tokend.RemedySetting {
			hint = loginFirst(name)
		}
		return hintf(codeOfClass(flow.Class(c.Failure.Class)), hint,
			"%s, and the refresh failed: %s: %s", text, c.Failure.Class, c.Failure.Description)
	}
	return hintf(exitConfig, fmt.Sprintf("ask for less, raise the token lifetime of the API at the provider, or let the command request tokens itself: tokend token %s", name),
		"%s: the provider's tokens do not live longer", text)
}

// variables returns the variables with which a child uses the service. The socket needs
// no key.
func (r *reached) variables(ctx context.Context) (map[string]string, error) {
	if r.answersOnSocket(ctx) {
		path, err := filepath.Abs(r.socket())
		return map[string]string{"TOKEND_ADDR": "unix:" + path}, exitWith(exitUnavailable, err)
	}
	key, err := r.Key()
	if err != nil {
		return nil, exitFrom(err)
	}
	v := map[string]string{addrVariable: r.BaseURL()}
	if key != "" {
		v["TOKEND_API_KEY"] = key.Reveal()
	}
	return v, nil
}

// actionsVariables returns the variables with which a child uses the service in place of
// GitHub's. One request checks that the client answers in that form.
func (r *reached) actionsVariables(ctx context.Context, name string) (map[string]string, error) {
	const hint = "set TOKEND_ADDR=http://127.0.0.1:8484 and TOKEND_API_KEY, or add --private"
	u, err := url.Parse(r.BaseURL())
	if err != nil {
		return nil, exitWith(exitConfig, err)
	}
	key, err := r.Key()
	if err != nil {
		return nil, exitFrom(err)
	}
	if u.Port() == "" || key == "" {
		return nil, hintf(exitConfig, hint, "GitHub's form of a request needs the service's TCP address and API key, but only its socket is known")
	}
	s, err := serviceAt(tokend.Service{Addrs: []string{r.BaseURL()}, Key: key, OwnOnly: r.Service().OwnOnly})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	_, err = call(ctx, func(ctx context.Context) (tokend.Secret, error) { return s.ActionsIDToken(ctx, name, "") })
	var e *exitError
	switch {
	case err == nil:
	case tokend.NotListening(err):
		return nil, hintf(exitConfig, hint, "the service does not answer at %s, as GitHub's form of a request needs", r.BaseURL())
	case errors.As(err, &e) && e.reason == tokend.CodeNotFound:
		return nil, hintf(exitConfig, "set actions_id_token: true for it and start the service again, or add --private",
			"client %s does not answer in GitHub's form", name)
	default:
		return nil, r.explain(name, err)
	}
	return map[string]string{
		"ACTIONS_ID_TOKEN_REQUEST_URL":   r.BaseURL() + tokend.ActionsPath(name) + "?api-version=2.0", // callers put &audience= after it
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN": key.Reveal(),
	}, nil
}
