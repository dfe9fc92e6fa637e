package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"example.com/tokend/pkg/flow"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 4 << 20

// service is the running tokend as the other commands reach it.
type service struct {
	base    string // URL without a path
	socket  string // path of the unix socket that is tried first; "": none
	key     flow.Secret
	keyless bool // no key was set, nor made by the service yet
	http    *http.Client
}

// answer is the body of an answer that is no success.
type answer struct {
	Code         string `json:"error"`
	Description  string `json:"error_description"`
	Client       string `json:"client"`
	Login        string `json:"login"`
	AuthorizeURL string `json:"authorize_url"`
	Provider     string `json:"provider_error"`
	RetryAfter   int    `json:"retry_after"` // seconds

	Remedy flow.Remedy `json:"remedy"`

	VerificationURIComplete string `json:"verification_uri_complete"`
	UserCode                string `json:"user_code"`
}

// findService reads how the service is reached, and the caller key. It does not
// connect.
func findService() (*service, error) {
	s, err := locateService()
	if err != nil || strings.HasPrefix(os.Getenv("TOKEND_ADDR"), "unix:") {
		return s, err // the socket knows its callers
	}
	return s, s.readKey(defaultPaths().apiKey)
}

// locateService is findService without the key.
func locateService() (*service, error) {
	if addr := os.Getenv("TOKEND_ADDR"); addr != "" {
		return serviceAt(namedAddr, addr)
	}
	var addrs []string
	if socket := or(os.Getenv("TOKEND_SOCKET"), defaultPaths().socket); socket != off {
		addrs = append(addrs, "unix:"+socket)
	}
	if listen := or(os.Getenv("TOKEND_LISTEN"), "127.0.0.1:8484"); listen != off {
		addrs = append(addrs, "http://"+listen)
	}
	return serviceAt("TOKEND_LISTEN", addrs...)
}

// namedAddr is the variable that names the service, whoever it belongs to.
const namedAddr = "TOKEND_ADDR"

// serviceAt reaches the service where it answers first; setting is what the
// addresses come from. One that was not named must be this user's.
func serviceAt(setting string, addrs ...string) (*service, error) {
	h, base, err := flow.LocalClient(addrs...)
	var e *flow.Error
	if errors.As(err, &e) {
		return nil, exitf(exitConfig, "%s: %s\nhint: %s", setting, e.Description, e.Hint)
	}
	s := &service{base: base, http: h}
	if t, ok := h.Transport.(*http.Transport); ok && setting != namedAddr {
		ownListener(t, os.Geteuid())
	}
	if len(addrs) > 0 {
		path, _ := strings.CutPrefix(addrs[0], "unix:")
		if path != addrs[0] {
			s.socket = strings.TrimPrefix(path, "//")
		}
	}
	return s, err
}

// readKey has the caller key. The default file may be absent: the socket needs none.
func (s *service) readKey(fallback string) error {
	var f faults
	s.key = secretOf("TOKEND_API_KEY", os.Getenv("TOKEND_API_KEY"), os.Getenv("TOKEND_API_KEY_FILE"), &f)
	if s.key != "" || f != nil || fallback == "" {
		return f.err()
	}
	if _, err := os.Lstat(fallback); errors.Is(err, fs.ErrNotExist) {
		s.keyless = true
		return nil
	}
	s.keyless = false
	key, err := readSecret(fallback)
	s.key = key
	return exitWith(exitConfig, err)
}

// call sends a request and returns the body of a success. in is sent as JSON
// unless it is nil. With --wait it is sent again while that may help.
func (s *service) call(ctx context.Context, method, path string, query url.Values, in any) ([]byte, error) {
	passes := func(err error) bool {
		if s.keyless && exitCode(err) == exitNoPerm { // the service has made its key file meanwhile
			return s.readKey(defaultPaths().apiKey) == nil && !s.keyless
		}
		return passing(err) && !strings.HasSuffix(path, "/code") // a code works once
	}
	return waited(ctx, passes, func() ([]byte, error) { return s.once(ctx, method, path, query, in) })
}

// once is call without waiting.
func (s *service) once(ctx context.Context, method, path string, query url.Values, in any) ([]byte, error) {
	target := s.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, exitf(exitUsage, "%s is no path of the service", path)
	}
	if s.key != "" {
		req.Header.Set("Authorization", "Bearer "+s.key.Reveal())
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.http.Do(req)
	if errors.Is(err, errForeign) {
		return nil, exitf(exitUnavailable, "tokend does not answer: %w\nhint: start it with tokend serve, or set TOKEND_ADDR=%s if that one is meant", cause(err), s.base)
	}
	if err != nil {
		return nil, exitf(exitUnavailable, "tokend does not answer: %w\nhint: start it with tokend serve, or set TOKEND_ADDR", cause(err))
	}
	defer func() { _ = resp.Body.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, exitf(exitUnavailable, "tokend's answer broke off: %w\nhint: try again", cause(err))
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(s.where(), resp.StatusCode, b)
	}
	return b, nil
}

// where is the service, for a person.
func (s *service) where() string {
	switch {
	case s.socket == "":
		return s.base
	case s.base == "http://localhost": // no port: it is the socket alone
		return s.socket
	}
	return s.socket + " or " + s.base
}

// cause takes the URL off a transport error.
func cause(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}

// refusal is an answer of what is there that is no success, with its hint on a line of its own.
func refusal(where string, status int, body []byte) error {
	var a answer
	if json.Unmarshal(body, &a) != nil || a.Code == "" {
		return exitf(exitProtocol, "what answers at %s is not tokend: status %d without its error body\nhint: look at TOKEND_ADDR, TOKEND_LISTEN and TOKEND_SOCKET", where, status)
	}
	text, hint, _ := strings.Cut(a.Description, "hint: ")
	text = a.Code + ": " + strings.TrimRight(text, "; \n")
	switch {
	case a.Code == string(flow.ClassLoginRequired):
		hint = a.loginHint(hint, a.Remedy)
	case hint != "":
	case a.Code == "unauthorized":
		hint = "set TOKEND_API_KEY or TOKEND_API_KEY_FILE to the key of the service"
	case status == http.StatusServiceUnavailable:
		hint = "try again; " + a.doctor() + " says more"
	case status == http.StatusBadGateway && a.Client != "":
		hint = a.doctor() + " looks at what the provider answers"
	}
	if a.Code == string(flow.ClassClientRejected) {
		hint = strings.TrimPrefix(hint+"; ", "; ") + a.doctor() + " says more"
	}
	if hint != "" {
		text += "\nhint: " + hint
	}
	return &exitError{
		code: a.exitCode(status), reason: a.Code, remedy: a.Remedy, err: errors.New(text), retryAfter: time.Duration(a.RetryAfter) * time.Second,
	}
}

// exitCode is the code of an answer. What the provider refuses is asked for by a
// setting or a flag whose value is wrong, not by a wrong command line.
func (a answer) exitCode(status int) int {
	if a.Provider != "" && a.Code == string(flow.ClassRequest) {
		return exitConfig
	}
	return codeOf(status, a.Code)
}

// doctor is the command that looks at what the answer is about.
func (a answer) doctor() string { return strings.TrimSpace("tokend doctor " + a.Client) }

// loginHint is how a client gets its grant; said is the service's own hint.
func (a answer) loginHint(said string, remedy flow.Remedy) string {
	switch {
	case a.UserCode != "":
		return "confirm the code " + a.UserCode + " at " + a.VerificationURIComplete
	case remedy == flow.RemedySetting:
		return said
	case remedy == flow.RemedyBrowser:
		a.Login = "browser"
	}
	hint := loginCommand(a.Client, a.Login)
	if said != "" {
		hint = said + ": " + hint
	}
	if a.Login == "browser" && a.AuthorizeURL != "" {
		hint += ", or open " + a.AuthorizeURL
	}
	return hint
}

// loginCommand logs a client in that is configured with login; "" needs nobody.
func loginCommand(name, login string) string {
	switch login {
	case "browser":
		return "tokend login " + name + " --browser or --paste"
	case "paste":
		return "tokend login " + name + " --paste"
	}
	return "tokend login " + name
}

// clientPath is a path of one client.
func clientPath(name, rest string) string { return "/v1/clients/" + url.PathEscape(name) + rest }
