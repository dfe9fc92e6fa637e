package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
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
	base := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return files.get() },
	}
	if t.ClientCAFile == "" {
		return tlsListener{tls.NewListener(l, base)}, nil
	}
	authorities := &authorityFile{TLS: t, log: log}
	if _, err := authorities.get(); err != nil {
		return nil, exitWith(exitConfig, errors.Join(err, l.Close()))
	}
	withClients := base.Clone()
	withClients.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := base.Clone()
		c.ClientAuth, c.SessionTicketsDisabled = tls.VerifyClientCertIfGiven, true // each handshake is verified
		var err error
		c.ClientCAs, err = authorities.get()
		return c, err
	}
	return tlsListener{tls.NewListener(l, withClients)}, nil
}

// authorityFile reads the authorities of client certificates again when the file has
// changed. If the new ones cannot be used, it keeps the former ones and logs why, once
// per change.
type authorityFile struct {
	config.TLS
	log *slog.Logger

	mu      sync.Mutex
	version fileVersion
	current *x509.CertPool
}

func (f *authorityFile) get() (*x509.CertPool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	version := versionOf(f.ClientCAFile)
	if f.current != nil && version == f.version {
		return f.current, nil
	}
	f.version = version
	pool, err := f.ClientCAs()
	switch {
	case err == nil:
		f.current = pool
	case f.current == nil:
		return nil, err
	default:
		logFailure(context.Background(), f.log, "the new authorities of client certificates cannot be used; the former ones are", err, "")
	}
	return f.current, nil
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

// fileVersion changes when a file is written or replaced, or gets other permissions.
type fileVersion struct {
	size     int64
	modified time.Time
	mode     fs.FileMode
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
	return fileVersion{fi.Size(), fi.ModTime(), fi.Mode()}
}
