package main

import (
	"cmp"
	"context"
	"errors"
	"net"
	"strings"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/format"
	"example.com/tokend/pkg/tokend"
)

// service is the running tokend for the commands: errors have an exit code, and --wait
// repeats a call while that may help.
type service struct{ *tokend.Client }

// findService locates the service and reads the API key. It does not connect.
func findService() (service, error) {
	c, err := format.Dial(locate())
	return service{c}, exitFrom(err)
}

// addrVariable names the service to use.
const addrVariable = "TOKEND_ADDR"

// locate looks up a variable in the environment, or else in the settings of the
// configuration file that say where the service is.
func locate() func(name string) string {
	env := config.OS()
	return config.Locate(env, config.DefaultPaths(env))
}

// locateService is findService without the key.
func locateService() (service, error) {
	at, err := tokend.Find(locate())
	if err != nil {
		return service{}, exitFrom(err)
	}
	return serviceAt(at)
}

func serviceAt(at tokend.Service) (service, error) {
	c, err := tokend.New(at)
	if err != nil {
		return service{}, exitFrom(format.AddressError(at, err))
	}
	return service{c}, nil
}

// call calls the service's API, and repeats the call with --wait.
func call[T any](ctx context.Context, do func(context.Context) (T, error)) (T, error) {
	return waited(ctx, passing, func() (T, error) {
		v, err := do(ctx)
		return v, exitFrom(err)
	})
}

func (s service) health(ctx context.Context) (string, error) { return call(ctx, s.Health) }

func (s service) clients(ctx context.Context) ([]tokend.Status, error) {
	all, err := call(ctx, s.Clients)
	return all, s.explainKey(ctx, err)
}

// aboutClient calls a method about one client.
func aboutClient[T any](ctx context.Context, name string, do func(context.Context, string) (T, error)) (T, error) {
	return call(ctx, func(ctx context.Context) (T, error) { return do(ctx, name) })
}

func (s service) status(ctx context.Context, name string) (*tokend.Status, error) {
	c, err := aboutClient(ctx, name, s.Status)
	return c, s.explainKey(ctx, err)
}

// explainKey replaces the service's refusal of a request without a key by keyless.
func (s service) explainKey(ctx context.Context, err error) error {
	var e *exitError
	if !errors.As(err, &e) || e.reason != tokend.CodeUnauthorized {
		return err
	}
	if key, keyErr := s.Key(); keyErr != nil || key != "" {
		return err
	}
	return s.keyless(ctx)
}

// keyless returns why a service that answers cannot be asked: its store was lost, perhaps
// with the directory that has its key, or the key is elsewhere.
func (s service) keyless(ctx context.Context) error {
	if err := s.notReady(ctx); err != nil {
		return err
	}
	return hintf(exitNoPerm, "set TOKEND_API_KEY or TOKEND_API_KEY_FILE to its key, by default in ~/.local/state/tokend/api.key (XDG_STATE_HOME)",
		"unauthorized: there is no API key for the service at %s", s.BaseURL())
}

// notReady returns an error if the service reports that its store does not answer. It
// needs no key.
func (s service) notReady(ctx context.Context) error {
	_, err := s.Ready(ctx)
	var e *tokend.Error
	if !errors.As(err, &e) || e.Code != tokend.CodeStoreUnavailable {
		return nil
	}
	return hintf(exitUnavailable, cmp.Or(e.Hint, "the service's log has the reason; check the database or the disk, and restart tokend"),
		"the service at %s is not ready: %s", s.BaseURL(), e.Description)
}

func (s service) login(ctx context.Context, name string) (*tokend.Login, error) {
	return aboutClient(ctx, name, s.Login)
}

func (s service) refresh(ctx context.Context, name string) (*tokend.Status, error) {
	return call(ctx, func(ctx context.Context) (*tokend.Status, error) {
		return s.Refresh(ctx, tokend.RefreshRequest{Client: name})
	})
}

func (s service) token(ctx context.Context, r tokend.TokenRequest) (*tokend.Token, error) {
	return call(ctx, func(ctx context.Context) (*tokend.Token, error) { return s.Token(ctx, r) })
}

// worded is an error with another text.
type worded struct {
	text string
	err  error
}

func (w *worded) Error() string { return w.text }
func (w *worded) Unwrap() error { return w.err }

// socket returns the path of the unix socket that is tried first, "" without one.
func (s service) socket() string {
	path, found := strings.CutPrefix(s.Service().Addrs[0], "unix:")
	if !found {
		return ""
	}
	return strings.TrimPrefix(path, "//")
}

// belongsToUser reports whether a service at a default address is this user's: another
// user may have the default port.
func (s service) belongsToUser(ctx context.Context) bool {
	key, err := s.Key()
	return err == nil && key != "" || s.answersOnSocket(ctx)
}

func (s service) answersOnSocket(ctx context.Context) bool {
	path := s.socket()
	if path == "" {
		return false
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return false
	}
	return c.Close() == nil
}
