package flow

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

// demoKey is the key of the test client's grant.
var demoKey = GrantKey(testIssuer, "client", "demo")

// config returns the configuration of a client of s, with a store in memory.
func (s *tenant) config() Config {
	return Config{
		Name: "demo", Issuer: s.issuer, ClientID: "client", ClientSecret: "CANARY-secret", RedirectURL: "http://localhost/callback",
		Source: AuthorizationCode{Headless: true}, HTTPClient: &http.Client{Transport: s}, Now: s.clock,
		OnEvent: func(Event) {}, // as in the service: failures that have an event are stored
	}
}

// mustNew returns a client that refreshes near the start of its advisory window,
// unless c.Rand says otherwise.
func mustNew(t testing.TB, c Config) *Client {
	t.Helper()
	if c.Rand == nil {
		c.Rand = io.MultiReader(bytes.NewReader([]byte{13, 0, 0, 0, 0, 0, 0, 0}), rand.Reader)
	}
	cl, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.tasks.wait)
	return cl
}

// loggedIn returns a client with a new grant; change modifies its configuration.
func (s *tenant) loggedIn(t testing.TB, change func(*Config)) *Client {
	t.Helper()
	cfg := s.config()
	if change != nil {
		change(&cfg)
	}
	c := mustNew(t, cfg)
	if _, err := c.LoginHeadless(context.Background()); err != nil {
		t.Fatal(err)
	}
	return c
}

// wantError checks the class of an error and a part of its text.
func wantError(t testing.TB, err error, class Class, part string) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Class != class || !strings.Contains(e.Error(), part) {
		t.Fatalf("got error %v, want class %s with %q", err, class, part)
	}
	return e
}

func logTo(b io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
