package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/errgroup"
)

// endpoint is a handler with its listeners.
type endpoint struct {
	handler   http.Handler
	listeners []net.Listener
}

// settings returns the variables with what the command line has instead.
func (p *program) settings() (settings, error) {
	s, err := readSettings()
	if err != nil {
		return s, err
	}
	if len(p.tenant) > 0 {
		s.Tenant = p.tenant
	}
	if p.replay != "" {
		s.Replay = p.replay
	}
	if p.persistFile != "" {
		s.Persist = p.persistFile
	}
	for _, l := range []struct{ setting, addr string }{
		{"MOCKAUTH0_LISTEN", s.Listen}, {"MOCKAUTH0_TLS_LISTEN", s.TLSListen}, {"MOCKAUTH0_CONTROL_LISTEN", s.ControlListen},
	} {
		if l.addr != "" && !p.public && !isLoopback(l.addr) {
			return s, configError("%s: %s is not a loopback address, and a mock tenant gives tokens to anyone\n"+
				"hint: listen on 127.0.0.1, or allow it: --public", l.setting, l.addr)
		}
	}
	return s, nil
}

// serve listens first, so that a taken port is an error, and then serves until
// ctx ends.
func (p *program) serve(ctx context.Context) error {
	s, err := p.settings()
	if err != nil {
		return err
	}
	var open opened
	defer open.close()
	plain, err := open.listen(ctx, s.Listen, "MOCKAUTH0_LISTEN")
	if err != nil {
		return err
	}
	var control []net.Listener
	if s.ControlListen != "" {
		if control, err = open.listen(ctx, s.ControlListen, "MOCKAUTH0_CONTROL_LISTEN"); err != nil {
			return err
		}
	}
	log := s.logger(p.stderr)
	list, err := s.hosted()
	if err != nil {
		return err
	}
	p.several = len(s.Tenants) > 0
	config, err := p.tenantConfig(s, log)
	if err != nil {
		return err
	}
	main := s.plainBase(plain[0].Addr())
	if s.Issuer != "" && s.Issuer != followRequest {
		main = base(s.Issuer)
	}
	replay, err := s.replayer(list, main, &config)
	if err != nil {
		return err
	}
	loaded, err := p.restore(s, &config)
	if err != nil {
		return err
	}
	if err := p.openTenants(s, list, main, control, config); err != nil {
		return err
	}
	defer closeTenants(list)
	var keep *persister
	if s.Persist != "" {
		if keep, err = p.persist(s.Persist, list[0].tenant, loaded); err != nil {
			return err
		}
	}
	p.showLifetime(s, loaded)
	endpoints, err := p.endpoints(ctx, &open, s, list, plain, control)
	if err != nil {
		return err
	}
	for i := range endpoints {
		endpoints[i].handler = replay(endpoints[i].handler)
	}
	for _, h := range list {
		if len(h.files) > 0 {
			p.showClients(h.tenant)
		}
	}
	return p.untilEnd(ctx, log, list, endpoints, keep)
}

// untilEnd serves until ctx ends, and then keeps the last changes. keep is nil without
// --persist.
func (p *program) untilEnd(ctx context.Context, log *slog.Logger, list []hosted, endpoints []endpoint, keep *persister) error {
	if p.untilEOF {
		var cancel context.CancelFunc
		ctx, cancel = p.untilStdinEnds(ctx)
		defer cancel()
	}
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { closeTenants(list) })() // streams of events would delay the end
	group.Go(func() error { return serveEndpoints(ctx, log, endpoints) })
	group.Go(func() error { return p.reloadOnHangup(ctx, list) })
	if keep == nil {
		return group.Wait()
	}
	group.Go(func() error { return keep.run(ctx) })
	return errors.Join(group.Wait(), keep.end())
}

// showLifetime logs what of the state is lost at exit.
func (p *program) showLifetime(s settings, loaded bool) {
	const what = "mockauth0: a mock Auth0 tenant, for tests only; "
	if s.Persist == "" {
		fmt.Fprintln(p.stderr, what+"its state is lost at exit")
		return
	}
	fmt.Fprintf(p.stderr, what+"%s keeps its objects, and sessions and tokens are lost at exit\n", s.Persist)
	if loaded {
		start := "the default tenant"
		if len(s.Tenant) > 0 {
			start = "the tenant file"
		}
		fmt.Fprintf(p.stderr, "mockauth0: started with the objects of %s; a reset returns to %s\n", s.Persist, start)
	}
}

// untilStdinEnds returns a context that also ends with standard input. A read of it
// cannot be interrupted, so the goroutine may last until the process ends.
func (p *program) untilStdinEnds(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, p.stdin)
	}()
	return ctx, cancel
}

// endpoints opens the listener for TLS, which has its own issuer and the same state, and
// moves the control API to its own listener, if it has one.
func (p *program) endpoints(ctx context.Context, open *opened, s settings, list []hosted, plain, control []net.Listener) ([]endpoint, error) {
	plainBase := s.plainBase(plain[0].Addr())
	endpoints := []endpoint{{handler: p.tenantsAt(plainBase, list), listeners: plain}}
	p.showIssuers(plainBase, issuerOf("http", s.Listen, plain[0].Addr()), list, "login "+string(s.Login)+"; open it in a browser for the console")
	if s.TLSListen != "" {
		raw, err := open.listen(ctx, s.TLSListen, "MOCKAUTH0_TLS_LISTEN")
		if err != nil {
			return nil, err
		}
		b := s.tlsBase(raw[0].Addr())
		hosts := certificateHosts(s, list)
		pair, err := list[0].tenant.CA().Certificate(hosts...)
		if err != nil {
			return nil, err
		}
		for i := range raw {
			raw[i] = tls.NewListener(raw[i], &tls.Config{
				Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
			})
		}
		endpoints = append(endpoints, endpoint{handler: p.tenantsAt(b, list), listeners: raw})
		p.showIssuers(b, issuerOf("https", s.TLSListen, raw[0].Addr()), list, "get its CA with mockauth0 ca")
		fmt.Fprintf(p.stderr, "mockauth0: TLS certificate for %s at %s\n", strings.Join(hosts, ", "), raw[0].Addr())
	}
	if len(control) == 0 {
		return endpoints, nil
	}
	for i := range endpoints {
		endpoints[i].handler = withoutControl(endpoints[i].handler)
	}
	return append(endpoints, endpoint{handler: p.tenantsAt(plainBase, list), listeners: control}), nil
}

// certificateHosts returns the host names of the TLS certificate.
func certificateHosts(s settings, list []hosted) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	urls := []string{s.Issuer, s.BrowserURL, "https://" + s.TLSListen}
	for _, h := range list {
		if isHost(h.name) {
			urls = append(urls, "https://"+h.name)
		}
	}
	for _, raw := range urls {
		if u, err := url.Parse(raw); err == nil && u.Hostname() != "" && !slices.Contains(hosts, u.Hostname()) {
			hosts = append(hosts, u.Hostname())
		}
	}
	return hosts
}

// withoutControl hides /_mock/, except the health check, the protected API, which clients
// use, and the page after a login from the console.
func withoutControl(tenant http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, call, isControl := strings.Cut(r.URL.Path, "/_mock/") // below the path of one of several tenants, too
		if isControl && call != "health" && call != "callback" && !strings.HasPrefix(call, "resource/") {
			http.Error(w, "the control API is on another listener; see MOCKAUTH0_CONTROL_LISTEN", http.StatusNotFound)
			return
		}
		tenant.ServeHTTP(w, r)
	})
}

// serveEndpoints serves until ctx ends or one listener fails, then stops all.
func serveEndpoints(ctx context.Context, log *slog.Logger, endpoints []endpoint) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, d := range endpoints {
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

// engine adds recovery and an access log. The log has paths without queries, which
// contain codes. gin must not redirect or normalize anything.
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
