// Package config reads the configuration of the service: a YAML file and
// variables, which win.
//
// [Load] returns everything checked, as a [Config] that cmd/tokend makes listeners,
// a store and clients of, and every error as a [Fault]. It creates
// nothing: no file, no listener. [Compare] says what a reload changes.
package config

import (
	"cmp"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/tokend/internal/apikey"
	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/near"
	"example.com/tokend/internal/storeurl"
	"example.com/tokend/pkg/flow"
)

// Config is the whole configuration of the service, checked.
type Config struct {
	Listen, Socket string      // "Off": none
	TLS            TLS         // of other machines; TLS.Listen is "" without it
	Store          string      // URL
	StorePassword  flow.Secret // of a database; "": what the URL has
	StateDir       string      // for what a store on another machine keeps here; "": unknown
	Keyset         flow.Secret
	KeysetFile     string // created when absent; used when Keyset is ""
	KeysetInFile   bool   // Keyset is the content of KeysetFile, or is to be
	SpillDir       string // "": next to the database
	APIKey         flow.Secret
	APIKeyFile     string // created when absent; used when APIKey is ""
	Keys           []Key  // of the configuration
	APIKeysFile    string // of the other keys; it may be absent
	StoredKeys     []Key  // of APIKeysFile
	Callers        []Key  // without an API key
	CallerRate     int    // requests per second of each caller; 0: any number
	Clients        []Client
	OnEvent        OnEvent
	Audit          Audit
	Level          slog.Level
	JSON           bool // log format
}

// Key is a caller and what it may do: the holder of an API key of the configuration, or
// of the file that tokend key add writes, or one of callers.
type Key struct {
	Name   string
	Secret flow.Secret // "": Hash is known
	Hash   apikey.Hash // of a key of the file

	UIDs, GIDs   []int
	Certificates []string
	Tokens       []TokenRule

	Clients   []string // nil: all
	Audiences []string // nil: all
	ReadOnly  bool
	Expires   time.Time // zero: never
	Rate      int       // requests per second; 0: CallerRate
}

// minKey is the length of the shortest accepted API key, in characters.
const minKey = 16

// clientName matches the names of clients and API keys. They appear in paths, in
// variables and in the store.
var clientName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
})

// loader reads one configuration and collects its faults.
type loader struct {
	env       Environment
	variables variableSet
	fields    []field // of a client
	file      document
	faults    Faults
	rules     []TokenRule            // of all callers
	written   *written               // the configuration as read, for [Show]; nil: not kept
	texts     map[string]string      // the settings that many clients have in common: see common
	secrets   map[string]flow.Secret // by file
}

// common returns s, and the same memory for the same text.
func (l *loader) common(s string) string {
	if t, ok := l.texts[s]; ok {
		return t
	}
	if l.texts == nil {
		l.texts = map[string]string{}
	}
	l.texts[s] = s
	return s
}

// Load reads the variables, and the file that they name or else the default one of
// paths. Use the configuration only if there are no faults.
func Load(env Environment, paths Paths) (Config, Faults) {
	l := &loader{env: env, variables: env.tokendVariables(), fields: fieldsOf[clientSchema]()}
	s := l.load(paths)
	return s, l.faults
}

// ClientNames returns the names of the clients, faulty ones included.
func ClientNames(env Environment, paths Paths) []string {
	l := &loader{env: env, fields: fieldsOf[clientSchema]()}
	var named []string
	if list := env.Get("TOKEND_CLIENTS"); list != "" {
		named = strings.Split(list, ",")
	}
	file, _ := l.loadFile(env.Get("TOKEND_CONFIG"), paths.Config)
	return l.clientNames(file, named)
}

func (l *loader) load(paths Paths) Config {
	var env environment
	if err := l.env.Process("TOKEND", &env); err != nil {
		l.addAt("", "", 0, "", "%v", err)
		return Config{}
	}
	file, complete := l.loadFile(env.Config, paths.Config)
	l.overrideService(&env, file.Service)
	s := Config{Listen: cmp.Or(env.Listen, fallback[Service]("listen"))}
	l.where(&s, env, paths)
	l.logging(&s, env)
	if !complete {
		return s // faults of clients would be about those that were not read
	}
	if l.written != nil {
		*l.written = written{service: env, keys: file.Keys, callers: file.Callers, files: file.Files, onEvent: file.OnEvent, clients: map[string]clientSchema{}}
	}
	names := l.clientNames(file, env.Clients)
	l.unknownVariables(names)
	redirect := s.redirect()
	s.Clients = make([]Client, 0, len(names))
	for _, name := range names {
		s.Clients = append(s.Clients, l.readClient(name, file.Clients[name], redirect))
	}
	l.sameSeeds(s.Clients)
	if len(names) == 0 {
		l.addAt("clients", "", 0, "set TOKEND_CLIENTS=NAME and TOKEND_CLIENT_NAME_ISSUER, …, or write "+orUnknown(cmp.Or(env.Config, paths.Config)), "no client is configured")
	}
	l.readFiles(&s, file.Files)
	s.OnEvent = l.readOnEvent(file.OnEvent)
	s.Keys = l.readKeys(file.Keys, names, s.APIKey)
	s.StoredKeys = l.readStoredKeys(s)
	s.Callers = l.readCallers(file.Callers, names, s)
	l.checkSameFiles(s)
	return s
}

// overrideService reads the variables of the service again, over the settings of the
// file. A key in a variable replaces the file of a key.
func (l *loader) overrideService(env *environment, file Service) {
	if env.APIKey != "" {
		file.APIKeyFile = ""
	}
	if env.StoreKey != "" {
		file.StoreKeyFile = ""
	}
	if env.StorePassword != "" {
		file.StorePasswordFile = ""
	}
	env.Service = file
	if err := l.env.Process("TOKEND", env); err != nil { // as before
		l.addAt("", "", 0, "", "%v", err)
	}
}

// nameOf returns the name of a setting of the service where it was given: its
// variable, or its key in the file.
func (l *loader) nameOf(setting string) string {
	if _, line := l.origin(setting); line > 0 {
		return setting
	}
	return variableOfSetting(setting)
}

// where sets the addresses, paths and secrets of the service.
func (l *loader) where(s *Config, env environment, paths Paths) {
	if s.Listen != Off {
		if _, _, err := Loopback(s.Listen); err != nil {
			l.add("listen", "set it to 127.0.0.1:8484, [::1]:8484 or off", "%s: %v", l.nameOf("listen"), err)
		}
	}
	s.Socket = cmp.Or(env.Socket, paths.Socket)
	switch {
	case s.Socket == "":
		l.add("socket", "set it, or HOME or XDG_RUNTIME_DIR", "TOKEND_SOCKET has no default")
	case s.Socket == Off && s.Listen == Off && env.TLSListen == "":
		l.add("socket", "leave one of them", "%s and %s are both off", l.nameOf("socket"), l.nameOf("listen"))
	}
	s.TLS = TLS{Listen: env.TLSListen, CertFile: env.TLSCertFile, KeyFile: env.TLSKeyFile, ClientCAFile: env.TLSClientCAFile}
	l.checkTLS(s.TLS)
	s.Store = env.Store
	if s.Store == "" {
		if paths.Store == "" {
			l.add("store", "set it to sqlite:/path/to/tokend.db, or set HOME or XDG_STATE_HOME", "TOKEND_STORE has no default")
		}
		s.Store = "sqlite:" + paths.Store
	}
	u, err := storeurl.Parse(s.Store)
	if err != nil && (env.Store != "" || paths.Store != "") { // otherwise it is reported above
		l.add("store", hint.Of(err), "%s: %s", l.nameOf("store"), strings.TrimPrefix(err.Error(), "store: "))
	}
	s.StorePassword = l.secretOf("store_password", "", l.secretName("store_password"), env.StorePassword, env.StorePasswordFile)
	if s.StorePassword != "" && u.Scheme == storeurl.SQLite {
		l.add("store_password", "remove it", "%s has no effect with a sqlite store", l.nameOf("store_password"))
	}
	if paths.Store != "" {
		s.StateDir = filepath.Dir(paths.Store)
	}
	keyset := paths.Keyset
	if file := u.File(); file != "" {
		keyset = filepath.Join(filepath.Dir(file), "keyset.json")
	}
	s.Keyset, s.KeysetFile = l.makeable("store_key", env.StoreKey, env.StoreKeyFile, keyset)
	s.KeysetInFile = env.StoreKey == "" && l.env.credential(variableOfSetting("store_key")) == ""
	s.SpillDir = env.SpillDir
	s.Audit = l.readAudit(env.Service)
	s.CallerRate = l.number("caller_rate_limit", l.nameOf("caller_rate_limit"), env.CallerRateLimit)
	s.APIKeysFile = cmp.Or(env.APIKeysFile, paths.APIKeys)
	if file := u.File(); env.APIKeysFile == "" && file != "" {
		s.APIKeysFile = filepath.Join(filepath.Dir(file), "api-keys.json")
	}
	s.APIKey, s.APIKeyFile = l.makeable("api_key", env.APIKey, env.APIKeyFile, paths.APIKey)
	l.checkKey("api_key", "TOKEND_API_KEY", s.APIKey)
}

// makeable returns a secret that tokend creates when there is none: its value, or
// else the file to create. A file at the default path is tokend's own.
func (l *loader) makeable(setting, value, file, place string) (flow.Secret, string) {
	path, credential := cmp.Or(file, place), l.env.credential(variableOfSetting(setting))
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && value == "" && credential == "" {
		return "", path
	}
	if value != "" || file != "" || credential != "" {
		return l.secretOf(setting, "", l.secretName(setting), value, file), path
	}
	s, err := ReadOwnSecret(path)
	if err != nil {
		l.add(setting, hint.Of(err), "%s: %v", fileVariant(variableOfSetting(setting)), err)
	}
	return s, path
}

// secretName returns the name of a secret of the service, for faults.
func (l *loader) secretName(setting string) string {
	return strings.TrimSuffix(strings.TrimSuffix(l.nameOf(setting+"_file"), "_FILE"), "_file")
}

// checkKey refuses an API key that could be guessed or cannot be sent.
func (l *loader) checkKey(setting, name string, key flow.Secret) {
	if key == "" {
		return
	}
	if len(key) < minKey || len(key) > 512 {
		l.add(setting, "generate one: openssl rand -base64 32", "%s has %d characters, not %d to 512", name, len(key), minKey)
	}
	if strings.ContainsFunc(key.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		l.add(setting, "generate one: openssl rand -base64 32", "%s contains a character that a header cannot carry", name)
	}
}

func (l *loader) logging(s *Config, env environment) {
	_ = s.Level.UnmarshalText([]byte(l.oneOfService("log_level", env.LogLevel))) // a known level
	s.JSON = l.oneOfService("log_format", env.LogFormat) == "json"
}

// oneOfService returns a setting of the service, or its default.
func (l *loader) oneOfService(name, value string) string {
	absent := fallback[Service](name)
	allowed := choices(fieldsOf[Service](), name)
	if value != "" && !slices.Contains(allowed, strings.ToLower(value)) {
		l.add(name, "one of "+strings.Join(allowed, ", "), "%s is %q", l.nameOf(name), value)
		return absent
	}
	return cmp.Or(strings.ToLower(value), absent)
}

// redirect is the default redirect URI, of the configured listener; serve knows
// the real port when that is 0.
func (s *Config) redirect() string {
	_, port, err := Loopback(s.Listen)
	if err != nil || port == 0 {
		port = 8484
	}
	return RedirectTo(port)
}

// RedirectTo returns the redirect URI to a port of this machine.
func RedirectTo(port int) string {
	u := url.URL{Scheme: "http", Host: "localhost:" + strconv.Itoa(port), Path: "/callback"}
	return u.String()
}

// clientNames returns the clients of the file and TOKEND_CLIENTS, sorted.
func (l *loader) clientNames(file fileSchema, fromEnv []string) []string {
	var names []string
	for name := range file.Clients {
		names = append(names, name)
	}
	seen := map[string]bool{}
	for _, name := range fromEnv {
		name = strings.TrimSpace(name)
		if seen[name] {
			l.add("clients."+name, "name each once", "TOKEND_CLIENTS: duplicate client %q", name)
		}
		if _, inFile := file.Clients[name]; !inFile && !seen[name] {
			names = append(names, name)
		}
		seen[name] = true
	}
	slices.Sort(names)
	variables := map[string]string{}
	for _, name := range names {
		if !clientName().MatchString(name) {
			l.add("clients."+name, "use a-z, 0-9, - and _, starting with a letter or digit, at most 63", "client name %q is not allowed", name)
		}
		if other, ok := variables[VariableOf(name)]; ok {
			l.add("clients."+name, "rename one", "clients %q and %q have the same variables TOKEND_CLIENT_%s_…", other, name, VariableOf(name))
		}
		variables[VariableOf(name)] = name
	}
	return names
}

// didYouMean returns the begin of a hint for an unknown name, with the known name that
// is most similar; "" when none is.
func didYouMean(name string, known []string) string {
	if meant := near.Name(name, known); meant != "" {
		return "did you mean " + meant + "? "
	}
	return ""
}

func orUnknown(path string) string { return cmp.Or(path, "a file and name it in TOKEND_CONFIG") }
