package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/tokend/internal/guard"
)

// drain is how long requests in flight have when the daemon is told to end.
const drain = 10 * time.Second

// Run keeps the clients' grants and serves the API on the listeners, which it
// closes, until ctx ends or a listener fails. TCP callers need a key; a unix
// socket's callers must run as this process's user. It returns when every
// request is answered (or 10 s later) and every refresh in flight is stored.
func (d *Daemon) Run(ctx context.Context, listeners ...net.Listener) error {
	// The clients outlive ctx: a request that is drained may begin a refresh,
	// and their Run waits for it.
	d.running.begin(context.WithoutCancel(ctx), &d.active)
	defer d.running.end()
	return d.serve(ctx, listeners)
}

func (d *Daemon) serve(ctx context.Context, listeners []net.Listener) error {
	server := d.server()
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		if u, ok := l.(*net.UnixListener); ok {
			l = guard.OwnPeers(u, d.log)
		}
		group.Go(func() error {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	group.Go(func() error {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.drain)
		defer cancel()
		err := server.Shutdown(last)
		if err != nil {
			d.log.WarnContext(ctx, "requests were cut off", "after", d.drain)
			err = server.Close()
		}
		d.streams.end(last)
		return err
	})
	err := group.Wait()
	if c, ok := d.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
	return err
}

// server has the limits: slow headers and bodies cost their sender the
// connection, an answer may take a caller's patience and no more.
func (d *Daemon) server() *http.Server {
	return &http.Server{
		Handler:           d.handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      patience + 20*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,

		DisableGeneralOptionsHandler: true, // "OPTIONS *" meets the guards too

		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
}
