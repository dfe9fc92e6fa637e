package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/errgroup"

	"example.com/tokend/pkg/mock"
)

// door is a handler and where it is reached.
type door struct {
	handler   http.Handler
	listeners []net.Listener
}

// serve listens first, so that a taken port is an error, and then serves until
// ctx ends.
func (p *program) serve(ctx context.Context) error {
	s, err := readSettings()
	if err != nil {
		return err
	}
	for _, addr := range []string{s.Listen, s.ControlListen} {
		if addr != "" && !p.public && !isLoopback(addr) {
			return configError("%s is not a loopback address, and a mock tenant gives tokens to anybody\n"+
				"hint: listen on 127.0.0.1, or say --public when that is what you want", addr)
		}
	}
	main, err := listen(ctx, s.Listen, "MOCKAUTH0_LISTEN")
	if err != nil {
		return err
	}
	defer closeAll(main)
	if s.Issuer == "" {
		s.Issuer = issuerOf(s.Listen, main[0].Addr())
	}
	log := s.logger(p.stderr)
	tenant, err := mock.New(mock.Config{
		Issuer: s.Issuer, Login: s.Login, Profile: s.Profile, TokenBody: s.TokenBody, DeviceInterval: s.DeviceInterval, Log: log,
	})
	if err != nil {
		return configError("%v", err)
	}
	doors := []door{{handler: tenant, listeners: main}}
	if s.ControlListen != "" {
		control, err := listen(ctx, s.ControlListen, "MOCKAUTH0_CONTROL_LISTEN")
		if err != nil {
			return err
		}
		defer closeAll(control)
		doors = []door{{handler: withoutControl(tenant), listeners: main}, {handler: tenant, listeners: control}}
	}
	fmt.Fprintf(p.stderr, "mockauth0: a mock Auth0 tenant for tests, forgets everything at exit\n"+
		"mockauth0: issuer %s, login %s\n", tenant.Issuer(), s.Login)
	return serveDoors(ctx, log, doors)
}

// withoutControl hides /_mock/ where it has a listener of its own. The health
// check and the protected API stay: they are for everybody.
func withoutControl(tenant http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if strings.HasPrefix(path, "/_mock/") && path != "/_mock/health" && !strings.HasPrefix(path, "/_mock/resource/") {
			http.Error(w, "the control surface has a listener of its own (MOCKAUTH0_CONTROL_LISTEN)", http.StatusNotFound)
			return
		}
		tenant.ServeHTTP(w, r)
	})
}

// serveDoors serves until ctx ends or one listener fails, then ends them all.
func serveDoors(ctx context.Context, log *slog.Logger, doors []door) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, d := range doors {
		srv := &http.Server{
			Handler: engine(d.handler, log), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
			MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		}
		for _, l := range d.listeners {
			group.Go(func() error {
				if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
					return err
				}
				return nil
			})
		}
		group.Go(func() error {
			<-ctx.Done()
			drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			if err := srv.Shutdown(drain); err != nil {
				return srv.Close()
			}
			return nil
		})
	}
	return group.Wait()
}

// engine puts recovery and an access log around the tenant. The log has paths
// only: queries hold codes and states. Nothing is redirected or normalized.
func engine(h http.Handler, log *slog.Logger) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.RedirectTrailingSlash, e.HandleMethodNotAllowed = false, false
	e.Use(func(c *gin.Context) {
		start := time.Now()
		defer func() {
			if p := recover(); p != nil {
				log.Error("panic", "path", c.Request.URL.Path, "panic", fmt.Sprint(p))
				c.AbortWithStatus(http.StatusInternalServerError)
			}
			log.Debug("request", "method", c.Request.Method, "path", c.Request.URL.Path,
				"status", c.Writer.Status(), "ms", time.Since(start).Milliseconds())
		}()
		c.Next()
	})
	e.NoRoute(func(c *gin.Context) {
		c.Status(http.StatusOK) // gin's NoRoute starts at 404
		h.ServeHTTP(c.Writer, c.Request)
	})
	return e
}

// listen opens an address; for 127.0.0.1 also the same port of ::1 where there
// is one, as "localhost" means both.
func listen(ctx context.Context, addr, setting string) ([]net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &exitError{exitUnavailable, fmt.Errorf("%s is in use by another process\nhint: end it, or set %s to another address", addr, setting)}
	case err != nil:
		return nil, configError("cannot listen on %s: %v\nhint: set %s to another address", addr, err, setting)
	}
	out := []net.Listener{l}
	host, _, _ := net.SplitHostPort(addr)
	if host == "127.0.0.1" || host == "localhost" {
		port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
		if l6, err := lc.Listen(ctx, "tcp6", net.JoinHostPort("::1", port)); err == nil {
			out = append(out, l6)
		}
	}
	return out, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}

// issuerOf is how clients on this machine reach the listener.
func issuerOf(configured string, addr net.Addr) string {
	host, _, _ := net.SplitHostPort(configured)
	if host == "" || host == "127.0.0.1" || host == "0.0.0.0" || host == "::1" || host == "::" {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, fmt.Sprint(addr.(*net.TCPAddr).Port)) + "/"
}

// healthcheck asks a running tenant, for images that have no curl.
func (p *program) healthcheck(ctx context.Context) error {
	s, err := readSettings()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	target := issuerOf(s.Listen, mustAddr(s.Listen)) + "_mock/health"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return configError("%v", err)
	}
	client := &http.Client{Transport: &http.Transport{}} // no proxy: the tenant is on this machine
	res, err := client.Do(req)
	if err == nil {
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode == http.StatusOK {
			_, err = fmt.Fprintln(p.stdout, "ok")
			return err
		}
		err = fmt.Errorf("it answered %s", res.Status)
	}
	return &exitError{exitUnavailable, fmt.Errorf("no tenant at %s: %w\nhint: start it with mockauth0 serve", s.Listen, err)}
}

func mustAddr(hostport string) net.Addr {
	addr, err := net.ResolveTCPAddr("tcp", hostport)
	if err != nil {
		return &net.TCPAddr{}
	}
	return addr
}
