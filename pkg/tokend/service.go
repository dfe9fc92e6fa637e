package tokend

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
)

// Service says where a tokend is and how to authenticate to it.
type Service struct {
	// Addrs are "unix:/path/to/tokend.sock", "http://HOST:PORT", with 127.0.0.1,
	// [::1] or localhost as host, or one "https://HOST:PORT". The first that answers
	// is used.
	Addrs []string

	// RootCAs verify the certificate of an https address; nil: those of the system.
	RootCAs *x509.CertPool

	Key     Secret // the API key; a unix socket needs none
	KeyFile string // read for the first request, and again after a 401; ignored if Key is set

	// KeyFileOptional is for a file that the service creates when it starts:
	// while it does not exist, no key is sent.
	KeyFileOptional bool

	// OwnOnly rejects a listener of another user, except root. It needs Linux.
	// Any user can listen at a default address while tokend does not run.
	OwnOnly bool
}

// Find returns the service that the command line uses: TOKEND_ADDR, otherwise the
// default socket (TOKEND_SOCKET), then the default listener (TOKEND_LISTEN),
// which must belong to this user. The key is TOKEND_API_KEY, the content of
// TOKEND_API_KEY_FILE, or the key file that the service creates at its first
// start. "off" as TOKEND_SOCKET or TOKEND_LISTEN disables that address. getenv is
// usually [os.Getenv].
func Find(getenv func(string) string) (Service, error) {
	s := Service{Key: Secret(getenv("TOKEND_API_KEY")), KeyFile: getenv("TOKEND_API_KEY_FILE")}
	if s.Key != "" && s.KeyFile != "" {
		return s, addressError("set one of them", "both TOKEND_API_KEY and TOKEND_API_KEY_FILE are set")
	}
	if s.Key == "" && s.KeyFile == "" {
		s.KeyFile, s.KeyFileOptional = defaultKeyFile(getenv), true
		if dir := getenv("CREDENTIALS_DIRECTORY"); filepath.IsAbs(dir) { // systemd.exec(5), LoadCredential=
			if file := filepath.Join(dir, "TOKEND_API_KEY"); exists(file) {
				s.KeyFile, s.KeyFileOptional = file, false
			}
		}
	}
	if addr := getenv("TOKEND_ADDR"); addr != "" {
		s.Addrs = []string{addr}
		return s, nil
	}
	s.OwnOnly = true
	if socket := first(getenv("TOKEND_SOCKET"), under(runtimeDir(getenv), "tokend.sock")); socket != "off" && socket != "" {
		s.Addrs = append(s.Addrs, "unix:"+socket)
	}
	if listen := first(getenv("TOKEND_LISTEN"), "127.0.0.1:8484"); listen != "off" {
		s.Addrs = append(s.Addrs, "http://"+listen)
	}
	if len(s.Addrs) == 0 {
		return s, addressError("set TOKEND_ADDR", "no address of tokend: TOKEND_SOCKET and TOKEND_LISTEN are off")
	}
	return s, nil
}

func defaultKeyFile(getenv func(string) string) string { return under(stateDir(getenv), "api.key") }

// runtimeDir and stateDir return base directories of the XDG specification, which
// says to ignore relative ones. They return "" if the environment has no home.
func runtimeDir(getenv func(string) string) string {
	if dir := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return dir
	}
	return stateDir(getenv) // no session manager, as in a container
}

func stateDir(getenv func(string) string) string {
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

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}

// ReadKey returns the API key: Key, or the content of KeyFile. It is "" if there
// is none.
func (s Service) ReadKey() (Secret, error) {
	return (&apiKey{file: s.KeyFile, optional: s.KeyFileOptional, value: s.Key, read: s.Key != ""}).get()
}

// String returns the addresses for a message.
func (s Service) String() string {
	var names []string
	for _, addr := range s.Addrs {
		names = append(names, strings.TrimPrefix(addr, "unix:"))
	}
	return strings.Join(names, " or ")
}
