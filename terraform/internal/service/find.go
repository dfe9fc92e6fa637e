package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// maxSecret bounds a key file, in bytes.
const maxSecret = 64 << 10

// off is the setting of a tokend listener that is not wanted.
const off = "off"

// Options say where tokend is. Empty ones are found like the tokend command does: from
// its variables, then at the default paths.
type Options struct {
	Endpoint string // "http://127.0.0.1:8484", "https://tokend.example.com" or "unix:/path"
	APIKey   Secret
	Getenv   func(string) string

	Wait func(context.Context, time.Duration) error // between attempts; nil: by the clock
}

// Fault is an error in a setting: its name and value, and what to do.
type Fault struct{ Setting, Text, Hint string }

func (f *Fault) Error() string { return f.Setting + " " + f.Text + "; hint: " + f.Hint }

// Find locates tokend and its key. It does not connect. Its errors are of type *[Fault].
func Find(o Options) (*Service, error) {
	setting, addr := "endpoint", o.Endpoint
	if addr == "" {
		setting, addr = "TOKEND_ADDR", o.Getenv("TOKEND_ADDR")
	}
	s, keyed, err := reach(setting, addr, o.Getenv)
	if err != nil {
		return nil, err
	}
	if s.wait = o.Wait; s.wait == nil {
		s.wait = pause
	}
	if keyed {
		s.key, s.KeySource, err = findKey(o)
	}
	return s, err
}

// reach returns the service and whether it needs a key: a named socket does not, because
// tokend checks its callers.
func reach(setting, addr string, getenv func(string) string) (s *Service, keyed bool, err error) {
	if addr != "" {
		base, err := CheckEndpoint(addr)
		if err != nil {
			return nil, false, &Fault{setting, err.Error(), "such as http://127.0.0.1:8484, https://tokend.example.com or unix:/run/user/1000/tokend/tokend.sock"}
		}
		if path, ok := strings.CutPrefix(base, "unix:"); ok {
			return &Service{Where: base, base: "http://localhost", http: newHTTP(dialSocket(path))}, false, nil
		}
		return &Service{Where: base, base: base, http: newHTTP(nil)}, true, nil
	}
	listen, socket := or(getenv("TOKEND_LISTEN"), "127.0.0.1:8484"), or(getenv("TOKEND_SOCKET"), defaultSocket(getenv))
	if listen != off {
		if _, err := CheckEndpoint("http://" + listen); err != nil {
			return nil, false, &Fault{"TOKEND_LISTEN", err.Error(), "such as 127.0.0.1:8484; or set endpoint"}
		}
	}
	switch {
	case listen == off && (socket == off || socket == ""):
		return nil, false, &Fault{"endpoint", "is not set, and TOKEND_LISTEN and TOKEND_SOCKET leave no default", "set endpoint or TOKEND_ADDR"}
	case listen == off:
		return &Service{Where: "unix:" + socket, base: "http://localhost", http: newHTTP(own(os.Geteuid(), dialSocket(socket)))}, true, nil
	case socket == off || socket == "":
		return &Service{Where: "http://" + listen, base: "http://" + listen, http: newHTTP(own(os.Geteuid(), dialTCP(listen)))}, true, nil
	}
	return &Service{
		Where: "unix:" + socket + " or http://" + listen, base: "http://" + listen,
		http: newHTTP(own(os.Geteuid(), dialEither(socket, listen))),
	}, true, nil
}

// CheckEndpoint accepts unix:/path, an https URL and the http URL of a loopback address,
// both without a path, and returns it normalized. Without TLS other machines are refused:
// key and token would not be encrypted.
func CheckEndpoint(addr string) (string, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		if path = strings.TrimPrefix(path, "//"); !filepath.IsAbs(path) {
			return "", fmt.Errorf("is %q: the path of a socket must be absolute", addr)
		}
		return "unix:" + path, nil
	}
	u, err := url.Parse(addr)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("is not http://HOST:PORT, https://HOST:PORT or unix:/path") // without the value: it may contain a password
	}
	if u.Port() != "" {
		if port, err := strconv.Atoi(u.Port()); err != nil || port < 1 || port > 65535 {
			return "", fmt.Errorf("has port %s, which is not from 1 to 65535", u.Port())
		}
	}
	if u.Scheme == "https" {
		return "https://" + u.Host, nil
	}
	switch host := u.Hostname(); host {
	case "localhost", "127.0.0.1", "::1":
		return "http://" + u.Host, nil
	default:
		return "", fmt.Errorf("names %s, which is not this machine (127.0.0.1, ::1, localhost): the key would be sent unencrypted over the network", host)
	}
}

// findKey returns the key and its source. No key is not an error here: tokend's socket
// needs none.
func findKey(o Options) (Secret, string, error) {
	value, file := o.Getenv("TOKEND_API_KEY"), o.Getenv("TOKEND_API_KEY_FILE")
	switch {
	case o.APIKey != "":
		return checkKey(o.APIKey, "api_key", "api_key of the provider's configuration")
	case value != "" && file != "":
		return "", "", &Fault{"TOKEND_API_KEY", "and TOKEND_API_KEY_FILE are both set", "unset one of them"}
	case value != "":
		return checkKey(Secret(value), "TOKEND_API_KEY", "TOKEND_API_KEY")
	case file != "":
		return readKey("TOKEND_API_KEY_FILE", file)
	}
	if dir := o.Getenv("CREDENTIALS_DIRECTORY"); dir != "" { // systemd.exec(5), LoadCredential=
		if path := filepath.Join(dir, "TOKEND_API_KEY"); exists(path) {
			return readKey("CREDENTIALS_DIRECTORY", path)
		}
	}
	if path := DefaultKeyFile(o.Getenv); path != "" && exists(path) {
		return readKey("api_key", path)
	}
	return "", "", nil
}

// checkKey refuses a key that a header cannot carry.
func checkKey(key Secret, setting, source string) (Secret, string, error) {
	if !headerSafe(key.Reveal()) {
		return "", "", &Fault{setting, "contains a space, a newline or another character that a header cannot carry", "use the key exactly as in tokend's file, without text around it"}
	}
	return key, source, nil
}

func readKey(setting, path string) (Secret, string, error) {
	key, err := readSecret(path)
	if err != nil {
		return "", "", &Fault{setting, err.Error(), "use tokend's key file, or set api_key"}
	}
	return checkKey(key, setting, path)
}

// readSecret reads a file that only its owner can read, like tokend does.
func readSecret(path string) (Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("names %s, which cannot be read: %w", path, reason(err))
	}
	defer func() { _ = f.Close() }() // only read
	fi, err := f.Stat()
	switch {
	case err != nil:
		return "", fmt.Errorf("names %s, which cannot be read: %w", path, reason(err))
	case !fi.Mode().IsRegular():
		return "", fmt.Errorf("names %s, which is not a regular file", path)
	case fi.Mode().Perm()&0o007 != 0:
		return "", fmt.Errorf("names %s, which is open to everyone (mode %#o): chmod 600 it", path, fi.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("names %s, which cannot be read: %w", path, reason(err))
	case len(b) > maxSecret:
		return "", fmt.Errorf("names %s, which is larger than 64 KiB", path)
	case strings.TrimSpace(string(b)) == "":
		return "", fmt.Errorf("names %s, which is empty", path)
	}
	return Secret(strings.TrimSpace(string(b))), nil
}

func reason(err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// DefaultKeyFile returns the path of the key that tokend creates; "" if the environment
// has no home.
func DefaultKeyFile(getenv func(string) string) string {
	return under(stateHome(getenv), "api.key")
}

func defaultSocket(getenv func(string) string) string {
	runtime := getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(runtime) {
		runtime = stateHome(getenv) // no session manager, as in a container
	}
	return under(runtime, "tokend.sock")
}

// stateHome returns XDG_STATE_HOME or its default; the specification ignores a relative
// one.
func stateHome(getenv func(string) string) string {
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state")
	}
	return ""
}

func under(base, file string) string {
	if base == "" {
		return ""
	}
	return filepath.Join(base, "tokend", file)
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
