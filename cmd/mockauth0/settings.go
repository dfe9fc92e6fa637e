package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// settings are the environment variables MOCKAUTH0_*. Fields that are not strings come
// last, because envconfig stops at the first one that it cannot parse.
type settings struct {
	Listen         string         `default:"127.0.0.1:8400"`
	Issuer         string         `default:""`
	BrowserURL     string         `default:"" envconfig:"BROWSER_URL"`
	Login          mock.LoginMode `default:"auto"`
	Profile        mock.Profile   `default:"auth0"`
	TokenBody      mock.TokenBody `default:"recorded" split_words:"true"`
	TLSListen      string         `default:"" envconfig:"TLS_LISTEN"`
	Tenant         []string       `default:""`
	Faults         []string       `default:""`
	Tenants        []string       `default:""`
	Replay         string         `default:""`
	Persist        string         `default:""`
	CACertFile     string         `default:"" envconfig:"CA_CERT_FILE"`
	CAKeyFile      string         `default:"" envconfig:"CA_KEY_FILE"`
	ControlListen  string         `default:"" split_words:"true"`
	LogFormat      string         `default:"text" split_words:"true"`
	DeviceInterval time.Duration  `default:"5s" split_words:"true"`
	LogLevel       slog.Level     `default:"info" split_words:"true"`
}

const settingsHelp = `Listen until interrupted. Settings come from the environment:

  MOCKAUTH0_LISTEN           address (127.0.0.1:8400, and the same port on [::1])
  MOCKAUTH0_ISSUER           issuer with a trailing slash (http://localhost:PORT/); an https one is the TLS
                             listener's; request: from the Host of each request, for mapped ports
  MOCKAUTH0_BROWSER_URL      where browsers reach the tenant's pages, with a trailing slash (MOCKAUTH0_ISSUER)
  MOCKAUTH0_TENANT           files or directories of an auth0-deploy-cli export, separated by commas (the built-in tenant)
  MOCKAUTH0_TENANTS          several tenants: NAME=FILE, separated by commas, or a directory with a file for each;
                             issuer http://localhost:PORT/NAME/, or http://NAME:PORT/ for a name with a dot (none)
  MOCKAUTH0_REPLAY           file of mockauth0 record; what is not in it is answered by the tenant (none)
  MOCKAUTH0_PERSIST          file that keeps the objects of the tenant over restarts: clients, users, … as mockauth0 export
                             writes them, with secrets; its objects win over those of MOCKAUTH0_TENANT (none)
  MOCKAUTH0_TLS_LISTEN       address of a TLS listener with its own issuer (none)
  MOCKAUTH0_CA_CERT_FILE     PEM certificate and key of the CA for TLS (new ones at each start)
  MOCKAUTH0_CA_KEY_FILE
  MOCKAUTH0_LOGIN            auto: log in and consent without pages; form: show the pages (auto)
  MOCKAUTH0_PROFILE          auth0: like a real tenant; strict-oidc: as OpenID certification requires (auth0)
  MOCKAUTH0_FAULTS           profiles of faults to start with, separated by commas: flaky, outage, rate-limited, rotation-lost (none)
  MOCKAUTH0_TOKEN_BODY       recorded; documented: without expires_in and scope (recorded)
  MOCKAUTH0_CONTROL_LISTEN   address for /_mock/ (MOCKAUTH0_LISTEN)
  MOCKAUTH0_DEVICE_INTERVAL  polling interval of the device flow (5s)
  MOCKAUTH0_LOG_LEVEL        debug, info, warn, error (info)
  MOCKAUTH0_LOG_FORMAT       text, json (text)`

const prefix = "MOCKAUTH0"

// readSettings reads the environment. The error lists every setting that is not valid.
func readSettings() (settings, error) {
	var s settings
	var problems []string
	if err := envconfig.Process(prefix, &s); err != nil {
		problems = append(problems, settingError(err))
	}
	if err := envconfig.CheckDisallowed(prefix, &s); err != nil {
		problems = append(problems, err.Error())
	}
	if s.LogFormat != "text" && s.LogFormat != "json" {
		problems = append(problems, fmt.Sprintf("MOCKAUTH0_LOG_FORMAT: %q is neither text nor json", s.LogFormat))
	}
	if (s.CACertFile == "") != (s.CAKeyFile == "") {
		problems = append(problems, "MOCKAUTH0_CA_CERT_FILE, MOCKAUTH0_CA_KEY_FILE: set both or neither")
	}
	for name, addr := range map[string]string{"MOCKAUTH0_LISTEN": s.Listen, "MOCKAUTH0_TLS_LISTEN": s.TLSListen, "MOCKAUTH0_CONTROL_LISTEN": s.ControlListen} {
		if _, _, err := net.SplitHostPort(addr); err != nil && addr != "" {
			problems = append(problems, fmt.Sprintf("%s: %q is not host:port", name, addr))
		}
	}
	problems = append(problems, s.tenantErrors()...)
	if len(problems) > 0 {
		slices.Sort(problems)
		return s, configError("invalid settings:\n  %s\nhint: see mockauth0 serve --help for the variables and their values", strings.Join(problems, "\n  "))
	}
	return s, nil
}

// settingError describes a value that envconfig cannot parse.
func settingError(err error) string {
	var wrong *envconfig.ParseError
	if !errors.As(err, &wrong) {
		return err.Error()
	}
	return fmt.Sprintf("%s: %v", wrong.KeyName, wrong.Err) // its text has the value
}

// config returns the tenant's configuration.
func (s settings) config() mock.Config {
	issuer := s.Issuer
	if issuer == followRequest {
		issuer = ""
	}
	c := mock.Config{Issuer: issuer, BrowserURL: s.BrowserURL, Login: s.Login, Profile: s.Profile, TokenBody: s.TokenBody, DeviceInterval: s.DeviceInterval}
	for _, name := range s.Faults {
		c.Faults = append(c.Faults, mock.Fault{Profile: name})
	}
	return c
}

// tenantErrors returns the settings that the tenant does not accept, by variable: the
// field "token body" is MOCKAUTH0_TOKEN_BODY.
func (s settings) tenantErrors() []string {
	c := s.config()
	c.Tenant = &tenant.File{Clients: []tenant.Client{{Name: "any", ClientID: "any"}}} // the settings are not about it
	_, err := mock.New(c)
	var out []string
	for _, e := range tenant.FieldErrors(err) {
		out = append(out, prefix+"_"+strings.ToUpper(strings.ReplaceAll(e.Field, " ", "_"))+": "+e.Reason)
	}
	return out
}

// isLoopback reports whether only this machine can reach an address.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func (s settings) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.LogLevel}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
