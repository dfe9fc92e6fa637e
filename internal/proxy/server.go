package proxy

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/tokend/internal/guard"
)

// CallTimeout is how long a caller waits for a token. The refresh itself has its
// own deadline and continues without the caller.
const CallTimeout = 25 * time.Second

// readTimeout is how long a caller has for a request: its header, and its body unless
// it is forwarded. net/http then sets one deadline instead of two, which is a tenth of
// what a token read costs.
const readTimeout = 5 * time.Second

// Serve serves h on the listeners, which it closes, until ctx ends or a listener
// fails. On a unix socket it accepts only the connections of Config.Peers. It returns when
// every request is answered, forwarded ones included, or cut off after the drain time.
func (p *Proxy) Serve(ctx context.Context, h http.Handler, listeners ...net.Listener) error {
	server := p.server(h)
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		switch of := l.(type) {
		case *net.UnixListener:
			l = guard.Peers(of, p.peers, p.log)
		case *net.TCPListener:
			l = deadlines(of)
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
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.drain)
		defer cancel()
		err := server.Shutdown(last)
		if err != nil {
			p.log.WarnContext(ctx, "requests were cut off", "reason", "not finished after "+p.drain.String(), "hint", "send them again")
			err = server.Close()
		}
		p.streams.end(last)
		return err
	})
	err := group.Wait()
	if c, ok := p.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
	return err
}

// server limits requests that are not forwarded: it closes connections with slow headers
// or bodies.
func (p *Proxy) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ConnContext:       guard.ConnContext,
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      CallTimeout + 20*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,

		DisableGeneralOptionsHandler: true, // the guard checks "OPTIONS *", too

		ErrorLog: log.New(serverLog{p.log}, "", 0),
	}
}

// serverLog gets what net/http reports about connections: a client certificate that was
// refused is a warning, because the caller sees only a TLS alert.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Write(b []byte) (int, error) {
	text := strings.TrimSpace(string(b))
	const handshake, certificate = "http: TLS handshake error from ", "tls: failed to verify certificate: "
	from, reason, refused := strings.Cut(strings.TrimPrefix(text, handshake), ": "+certificate)
	if !refused || !strings.HasPrefix(text, handshake) {
		l.log.Debug(text) //nolint:sloglint // the text of net/http
		return len(b), nil
	}
	l.log.Warn("refused a client certificate", "reason", strings.TrimPrefix(reason, "x509: "), "remote", from,
		"hint", "renew the certificate, or add its authority to tls_client_ca_file")
	return len(b), nil
}
