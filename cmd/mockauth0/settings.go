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

// settings are the environment variables MOCKAUTH0_*. Those that are no strings
// come last: envconfig reads no further than the first that it cannot.
type settings struct {
	Listen         string         `default:"127.0.0.1:8400"`
	Issuer         string         `default:""`
	Login          mock.LoginMode `default:"auto"`
	Profile        mock.Profile   `default:"auth0"`
	TokenBody      mock.TokenBody `default:"recorded" split_words:"true"`
	TLSListen      string         `default:"" envconfig:"TLS_LISTEN"`
	Tenant         []string       `default:""`
	CACertFile     string         `default:"" envconfig:"CA_CERT_FILE"`
	CAKeyFile      string         `default:"" envconfig:"CA_KEY_FILE"`
	ControlListen  string         `default:"" split_words:"true"`
	LogFormat      string         `default:"text" split_words:"true"`
	DeviceInterval time.Duration  `default:"5s" split_words:"true"`
	LogLevel       slog.Level     `default:"info" split_words:"true"`
}

const settingsHelp = `Listen until interrupted. Settings come from the environment:

  MOCKAUTH0_LISTEN           address (127.0.0.1:8400; the same port on [::1], too)
  MOCKAUTH0_ISSUER           issuer, slash at the end (http://localhost:PORT/)
  MOCKAUTH0_TENANT           files or directories of an auth0-deploy-cli export, by commas (the built-in tenant)
  MOCKAUTH0_TLS_LISTEN       address of a TLS listener, an issuer of its own (none)
  MOCKAUTH0_CA_CERT_FILE     PEM certificate and key of the CA of TLS (a fresh one at each start)
  MOCKAUTH0_CA_KEY_FILE
  MOCKAUTH0_LOGIN            auto: signs in and consents by itself; form: shows the pages (auto)
  MOCKAUTH0_PROFILE          auth0: as a real tenant; strict-oidc: as certification demands (auth0)
  MOCKAUTH0_TOKEN_BODY       recorded, or documented: only the four members of the documents (recorded)
  MOCKAUTH0_CONTROL_LISTEN   an address of its own for /_mock/ (the same listener)
  MOCKAUTH0_DEVICE_INTERVAL  polling interval of the device flow (5s)
  MOCKAUTH0_LOG_LEVEL        debug, info, warn, error (info)
  MOCKAUTH0_LOG_FORMAT       text, json (text)`

const prefix = "MOCKAUTH0"

// readSettings reads the environment; every fault is named, all at once.
func readSettings() (settings, error) {
	var s settings
	var faults []string
	if err := envconfig.Process(prefix, &s); err != nil {
		faults = append(faults, settingFault(err))
	}
	if err := envconfig.CheckDisallowed(prefix, &s); err != nil {
		faults = append(faults, err.Error())
	}
	if s.LogFormat != "text" && s.LogFormat != "json" {
		faults = append(faults, fmt.Sprintf("MOCKAUTH0_LOG_FORMAT: %q is neither text nor json", s.LogFormat))
	}
	if (s.CACertFile == "") != (s.CAKeyFile == "") {
		faults = append(faults, "MOCKAUTH0_CA_CERT_FILE and MOCKAUTH0_CA_KEY_FILE go together")
	}
	for name, addr := range map[string]string{"MOCKAUTH0_LISTEN": s.Listen, "MOCKAUTH0_TLS_LISTEN": s.TLSListen, "MOCKAUTH0_CONTROL_LISTEN": s.ControlListen} {
		if _, _, err := net.SplitHostPort(addr); err != nil && addr != "" {
			faults = append(faults, fmt.Sprintf("%s: %q is not host:port", name, addr))
		}
	}
	faults = append(faults, s.tenantFaults()...)
	if len(faults) > 0 {
		slices.Sort(faults)
		return s, configError("configuration:\n  %s\nhint: mockauth0 serve --help lists the variables and what each may be", strings.Join(faults, "\n  "))
	}
	return s, nil
}

// settingFault words a value that envconfig cannot read.
func settingFault(err error) string {
	var wrong *envconfig.ParseError
	if !errors.As(err, &wrong) {
		return err.Error()
	}
	return fmt.Sprintf("%s: %v", wrong.KeyName, wrong.Err) // which has the value
}

// config is what the tenant is told of the settings.
func (s settings) config() mock.Config {
	return mock.Config{Issuer: s.Issuer, Login: s.Login, Profile: s.Profile, TokenBody: s.TokenBody, DeviceInterval: s.DeviceInterval}
}

// tenantFaults are what the tenant refuses of the settings, by the variable of
// each: MOCKAUTH0_TOKEN_BODY is its token body.
func (s settings) tenantFaults() []string {
	_, err := mock.New(s.config())
	var out []string
	for _, e := range tenant.FieldErrors(err) {
		out = append(out, prefix+"_"+strings.ToUpper(strings.ReplaceAll(e.Field, " ", "_"))+": "+e.Reason)
	}
	return out
}

// isLoopback reports whether an address can be reached from this machine only.
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
