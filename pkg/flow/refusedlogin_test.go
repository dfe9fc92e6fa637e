package flow

import (
	"bytes"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// What keeps a client from its login has one class, one text and one hint, whether a
// login meets it, a status shows it, the log has it or a check finds it.
func TestLoginStatusLogAndCheckReportTheSame(t *testing.T) {
	page := func(title string) func(*tenant, *Config) {
		return func(s *tenant, _ *Config) { s.authorize = raw(403, "text/html", "<title>"+title+"</title>") }
	}
	says := func(issuer string) func(*tenant, *Config) { return func(s *tenant, _ *Config) { s.issuer = issuer } }
	fails := func(err error) func(*tenant, *Config) {
		return func(_ *tenant, cfg *Config) {
			cfg.HTTPClient = &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, err })}
		}
	}
	for name, tc := range map[string]struct {
		spoil func(*tenant, *Config)
		class Class
		hint  string
	}{
		"callback":            {page("Callback URL mismatch"), ClassConfig, "add http://localhost/callback to Allowed Callback URLs of application client"},
		"unknown client":      {page("Unknown client: client"), ClassConfig, "set client_id to the Client ID"},
		"page of no words":    {page("Oops"), ClassConfig, "check client_id"},
		"issuer's slash":      {says("https://tenant.test"), ClassConfig, "set issuer to https://tenant.test exactly: the slash at the end counts"},
		"issuer's scheme":     {says("http://tenant.test/"), ClassConfig, "set issuer to http://tenant.test/ exactly: http, not https"},
		"issuer's host":       {says("https://other.test/"), ClassConfig, "set issuer to https://other.test/ exactly, if that is the provider you mean"},
		"nothing listens":     {fails(&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}), ClassUnreachable, "check host and port of issuer"},
		"no such name":        {fails(&net.DNSError{Err: "no such host", Name: "tenant.test", IsNotFound: true}), ClassUnreachable, "check the spelling of issuer"},
		"unknown authority":   {fails(x509.UnknownAuthorityError{}), ClassConfig, "SSL_CERT_FILE"},
		"plain HTTP, not TLS": {fails(http.ErrSchemeMismatch), ClassConfig, "is issuer really https://?"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTenant()
			var log bytes.Buffer
			cfg := s.config()
			cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
			tc.spoil(s, &cfg)
			c := mustNew(t, cfg)
			_, err := c.LoginHeadless(t.Context())
			var e *Error
			if !errors.As(err, &e) || e.Class != tc.class || !strings.Contains(e.Hint, tc.hint) {
				t.Fatalf("login: %v", err)
			}
			if f := c.Status().Failure; f == nil || f.Class != e.Class || f.Description != e.Description || f.Hint != e.Hint {
				t.Errorf("status: %+v", f)
			}
			var problems []Finding
			for _, f := range c.Check(t.Context()) {
				if f.Result == ResultProblem {
					problems = append(problems, f)
				}
			}
			if len(problems) != 1 || problems[0].Class != e.Class || problems[0].Text != e.Description || problems[0].Hint != e.Hint {
				t.Errorf("check: %+v\nlogin: %+v", problems, e)
			}
			quoted := strings.NewReplacer(`"`, `\"`).Replace
			if !strings.Contains(log.String(), quoted(e.Description)) || !strings.Contains(log.String(), quoted(e.Hint)) {
				t.Errorf("log: %s", &log)
			}
		})
	}
}
