package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/errgroup"

	"example.com/tokend/pkg/mock"
)

// endpoint is a handler with its listeners.
type endpoint struct {
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
	if len(p.tenant) > 0 {
		s.Tenant = p.tenant
	}
	for _, l := range []struct{ setting, addr string }{
		{"MOCKAUTH0_LISTEN", s.Listen}, {"MOCKAUTH0_TLS_LISTEN", s.TLSListen}, {"MOCKAUTH0_CONTROL_LISTEN", s.ControlListen},
	} {
		if l.addr != "" && !p.public && !isLoopback(l.addr) {
			return configError("%s: %s is not a loopback address, and a mock tenant gives tokens to anyone\n"+
				"hint: listen on 127.0.0.1, or allow it: --public", l.setting, l.addr)
		}
	}
	var open opened
	defer open.close()
	plain, err := open.listen(ctx, s.Listen, "MOCKAUTH0_LISTEN")
	if err != nil {
		return err
	}
	if s.Issuer == "" {
		s.Issuer = issuerOf("http", s.Listen, plain[0].Addr())
	}
	log := s.logger(p.stderr)
	tenant, err := p.newTenant(s, log)
	if err != nil {
		return err
	}
	defer tenant.Close()
	fmt.Fprintf(p.stderr, "mockauth0: a mock Auth0 tenant, for tests only; its state is lost at exit\n"+
		"mockauth0: issuer %s, login %s; open it in a browser for the console\n", tenant.Issuer(), s.Login)
	if len(s.Tenant) > 0 {
		p.showClients(tenant)
	}
	endpoints, err := p.endpoints(ctx, &open, s, tenant, plain)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, tenant.Close)() // streams of events would delay the end
	group.Go(func() error { return serveEndpoints(ctx, log, endpoints) })
	group.Go(func() error { return p.reloadOnHangup(ctx, s, tenant) })
	return group.Wait()
}

// endpoints opens the listeners for TLS, which has its own issuer and the same state,
// and for the control API.
func (p *program) endpoints(ctx context.Context, open *opened, s settings, tenant *mock.Tenant, plain []net.Listener) ([]endpoint, error) {
	endpoints := []endpoint{{handler: tenant, listeners: plain}}
	if s.TLSListen != "" {
		raw, err := open.listen(ctx, s.TLSListen, "MOCKAUTH0_TLS_LISTEN")
		if err != nil {
			return nil, err
		}
		issuer := issuerOf("https", s.TLSListen, raw[0].Addr())
		pair, err := tenant.CA().Certificate(certificateHosts(s)...)
		if err != nil {
			return nil, err
		}
		for i := range raw {
			raw[i] = tls.NewListener(raw[i], &tls.Config{
				Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
			})
		}
		endpoints = append(endpoints, endpoint{handler: tenant.At(issuer), listeners: raw})
		fmt.Fprintf(p.stderr, "mockauth0: issuer %s, get its CA with mockauth0 ca\n", issuer)
	}
	if s.ControlListen == "" {
		return endpoints, nil
	}
	for i := range endpoints {
		endpoints[i].handler = withoutControl(endpoints[i].handler)
	}
	control, err := open.listen(ctx, s.ControlListen, "MOCKAUTH0_CONTROL_LISTEN")
	return append(endpoints, endpoint{handler: tenant, listeners: control}), err
}

// certificateHosts returns the host names of the TLS certificate.
func certificateHosts(s settings) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	for _, raw := range []string{s.Issuer, "https://" + s.TLSListen} {
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
		path := r.URL.Path
		if strings.HasPrefix(path, "/_mock/") && path != "/_mock/health" && path != "/_mock/callback" && !strings.HasPrefix(path, "/_mock/resource/") {
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
