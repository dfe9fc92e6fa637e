package main

import (
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

// reached is a service that answers: one that runs, or a private one of this
// process, over the same store and its leases.
type reached struct {
	service
	private bool
	started func()       // tells a private one that its failures are no longer the caller's to report
	end     func() error // of a private one: returns when all that was in flight is stored
}

// reachFlags say which service is wanted.
type reachFlags struct {
	private bool   // one of its own, even where one runs
	verbose bool   // log what a private one does, not its failures alone
	actions string // client that answers in the form of GitHub Actions
}

// reachOrKeep finds the service, or starts a private one for the named clients
// where none runs. A TOKEND_ADDR means the service that is there and no other.
func (p *program) reachOrKeep(ctx context.Context, names []string, flags reachFlags) (*reached, error) {
	absent := errors.New("no service is wanted") // why no running service is used
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
			found, err = false, fmt.Errorf("the service at %s is not this user's: there is no key for it", there.BaseURL())
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
		if _, waits := ctx.Value(patience{}).(time.Duration); waits && found {
			return there.awaited(ctx)
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

// warnOfOwn says when the service's client of a name is another one than this
// environment's.
func (p *program) warnOfOwn(ctx context.Context, s service, names []string) {
	for _, name := range names {
		setting := "TOKEND_CLIENT_" + config.VariableOf(name) + "_ISSUER"
		own := os.Getenv(setting)
		if own == "" {
			continue
		}
		c, err := s.Status(ctx, name)
		if err != nil || strings.TrimSuffix(c.Issuer, "/") == strings.TrimSuffix(own, "/") {
			continue // what is wrong with it is told when its token is asked for
		}
		p.tell("warning: client %s is that of the running service, of %s, not that of %s; --private uses the settings here\n", name, c.Issuer, setting)
	}
}

// configuredHere says whether the configuration here has a client.
func configuredHere(name string) bool {
	s, err := loadSettings()
	return err == nil && slices.ContainsFunc(s.Clients, func(c config.Client) bool { return c.Name == name })
}

// awaited is a service that must answer, with --wait after a while.
func (s service) awaited(ctx context.Context) (*reached, error) {
	_, err := s.health(ctx)
	return &reached{service: s, started: func() {}, end: func() error { return nil }}, err
}

// only has the clients of these names.
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
			return nil, hintf(exitNoClient, fmt.Sprintf("there is %s", strings.Join(all, ", ")),
				"unknown_client: no client %q is configured", name)
		}
	}
	return found, nil
}

// silent is the level of a log without a line.
const silent = slog.LevelError + 100

// startPrivate serves on a free port of loopback, with a key that nobody knows
// yet, until end.
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
	listeners, err := listenTCP(ctx, "TOKEND_LISTEN", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, grants.Close())
	}
	key := flow.Secret(rand.Text())
	c := daemon.Config{Keys: []daemon.Key{{Name: "private", Secret: key}}, Ready: grants.Ping, Version: buildVersion(), Log: log}
	ps := providers{}
	c.Clients, _, err = s.keepAlone(ps, grants, log)
	for i := range c.Clients {
		c.Clients[i].Login = "" // nobody could come back from the login page
		c.Clients[i].ActionsIDToken = c.Clients[i].ActionsIDToken || c.Clients[i].Name() == flags.actions
	}
	var d *daemon.Daemon
	if err == nil {
		d, err = daemon.New(c)
	}
	if err != nil {
		for _, l := range listeners {
			_ = l.Close() // nobody knows it
		}
		return nil, exitWith(exitConfig, errors.Join(err, grants.Close()))
	}
	log.InfoContext(ctx, "listening", "network", "tcp", "addr", listeners[0].Addr().String())
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() {
		err := d.Run(serving, listeners...)
		ps.close()
		ended <- errors.Join(err, grants.Close())
	}()
	own, err := serviceAt(tokend.Service{Addrs: []string{"http://" + listeners[0].Addr().String()}, Key: tokend.Secret(key)})
	if err != nil {
		panic(err) // it is loopback
	}
	return &reached{
		service: own,
		private: true,
		started: func() { level.Set(min(level.Level(), slog.LevelError)) },
		end:     sync.OnceValue(func() error { stop(); own.Close(); return <-ended }),
	}, nil
}

// ask asks for a client's token.
func (r *reached) ask(ctx context.Context, name string, minValidity time.Duration) (*tokend.Token, error) {
	t, err := r.token(ctx, tokend.TokenRequest{Client: name, MinValidity: minValidity})
	return t, r.explain(name, err)
}

// tokenFor has a client's token, valid for as long as asked, or an error that says
// who must act.
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

// explain says which client was refused, with the hint that fits a private
// service.
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

// tooShort says why a token is not valid for as long as was asked: the provider
// could not be asked for another, or its tokens live no longer.
func (r *reached) tooShort(ctx context.Context, name string, t *tokend.Token, minValidity time.Duration) error {
	text := fmt.Sprintf("client %s: its token is valid for %s, not for %s", name, time.Duration(t.ExpiresIn)*time.Second, minValidity)
	c, err := r.status(ctx, name)
	switch {
	case err != nil:
		return err
	case c.Failure != nil:
		hint := "try again"
		switch {
		case c.Failure.Class != tokend.CodeLoginRequired:
		case r.private && c.Failure.Remedy != tokend.RemedySetting:
			hint = loginFirst(name)
		default:
			hint = format.LoginHint(c)
		}
		return hintf(codeOfClass(flow.Class(c.Failure.Class)), fmt.Sprintf("%s", hint),
			"%s, and there is no other: %s: %s", text, c.Failure.Class, c.Failure.Description)
	}
	return hintf(exitConfig, fmt.Sprintf("ask for less, let the API's tokens live longer at the provider, or let the command ask again: tokend token %s", name),
		"%s: the provider's tokens do not live longer", text)
}

// variables are how a child reaches the service. The socket needs no key.
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

// actionsVariables are how a child reaches the service as it would GitHub's. One
// request checks that the client answers so.
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
		return nil, hintf(exitConfig, hint, "GitHub's form of a request needs the service's address and key, and only its socket is known")
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
