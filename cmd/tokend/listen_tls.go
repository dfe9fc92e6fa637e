package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"example.com/tokend/internal/config"
)

// listenTLS listens for callers of other machines.
func listenTLS(ctx context.Context, t config.TLS, log *slog.Logger) (net.Listener, error) {
	files := &certificateFiles{TLS: t, log: log, now: time.Now}
	if _, err := files.get(); err != nil {
		return nil, exitWith(exitConfig, err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", t.Listen)
	if err != nil {
		return nil, hintf(exitUnavailable, "set TOKEND_TLS_LISTEN to another address", "tls_listen: %w", err)
	}
	return tlsListener{tls.NewListener(l, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return files.get() },
	})}, nil
}

// tlsListener is a listener whose address says that it speaks TLS.
type tlsListener struct{ net.Listener }

// Addr implements [net.Listener].
func (l tlsListener) Addr() net.Addr { return tlsAddr{l.Listener.Addr()} }

type tlsAddr struct{ net.Addr }

// Network implements [net.Addr].
func (tlsAddr) Network() string { return "tls" }

// certificateFiles reads certificate and key again when a file has changed: those of
// a cluster are renewed while the service runs. If the new ones cannot be used, it
// keeps the old ones and logs why, once per change.
type certificateFiles struct {
	config.TLS
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex
	version [2]fileVersion
	current *tls.Certificate
}

// fileVersion changes when a file is written or replaced.
type fileVersion struct {
	size     int64
	modified time.Time
}

func (f *certificateFiles) get() (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	version := [2]fileVersion{versionOf(f.CertFile), versionOf(f.KeyFile)}
	if f.current != nil && version == f.version {
		return f.current, nil
	}
	f.version = version
	c, err := f.Certificate(f.now())
	switch {
	case err == nil:
		f.current = c
	case f.current == nil:
		return nil, err
	default:
		logFailure(context.Background(), f.log, "the new TLS certificate cannot be used; the previous one is served", err, "")
	}
	return f.current, nil
}

func versionOf(path string) fileVersion {
	fi, err := os.Stat(path)
	if err != nil {
		return fileVersion{}
	}
	return fileVersion{fi.Size(), fi.ModTime()}
}
