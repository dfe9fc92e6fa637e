package main

import (
	"bytes"
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

	"github.com/kelseyhightower/envconfig"

	"example.com/tokend/internal/daemon"
	"example.com/tokend/internal/near"
	"example.com/tokend/pkg/flow"
)

// environment are the variables of the service, with their prefix TOKEND_. All
// are strings: their faults are reported together, which envconfig cannot.
type environment struct {
	Config       string
	Listen       string `default:"127.0.0.1:8484"`
	Socket       string
	Store        string
	StoreKey     string `split_words:"true"`
	StoreKeyFile string `split_words:"true"`
	APIKey       string `split_words:"true"`
	LogLevel     string `split_words:"true" default:"info"`
	LogFormat    string `split_words:"true" default:"text"`
	Clients      []string
	Addr         string // of the command line
	APIKeyFile   string `split_words:"true"`
	SpillDir     string `split_words:"true"`
}

// settings are the whole configuration of the service, checked. Nothing was
// made for it yet: no file, no listener.
type settings struct {
	listen, socket string // "off": none
	store          string // URL
	keyset         flow.Secret
	keysetFile     string // made when absent; used when keyset is ""
	spillDir       string // "": beside the database
	apiKey         flow.Secret
	apiKeyFile     string // made when absent; used when apiKey is ""
	keys           []daemon.Key
	clients        []clientSettings
	level          slog.Level
	json           bool // log format
}

// minKey is the shortest caller key that is taken, in characters.
const minKey = 16

// noClient is the fault of a configuration that has none.
const noClient = "no client is configured"

// clientName is what a client or a caller key may be called: it stands in
// paths, in variables and in the store.
var clientName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// loadSettings is loadSettingsAt the places of a person's own.
func loadSettings() (settings, error) { return loadSettingsAt(defaultPaths()) }

// loadSettingsAt reads environment and file. All that is wrong is reported
// together, as faults.
func loadSettingsAt(places paths) (settings, error) {
	var f faults
	var env environment
	if err := envconfig.Process("TOKEND", &env); err != nil {
		f.add("", "%v", err)
		return settings{}, f.err()
	}
	s := settings{listen: env.Listen}
	s.where(env, places, &f)
	s.logging(env, &f)
	file, whole := loadFile(env.Config, places.config, &f)
	if !whole {
		return s, f.err() // what is said of clients would be about those that were not read
	}
	names := clientNames(file, env.Clients, &f)
	vars := tokendVariables()
	unknownVariables(names, vars, &f)
	redirect := s.redirect()
	s.clients = make([]clientSettings, 0, len(names))
	for _, name := range names {
		c := file.Clients[name]
		cl := readClient(name, c, redirect, vars, &f)
		cl.written = &c
		s.clients = append(s.clients, cl)
	}
	sameSeeds(s.clients, &f)
	if len(names) == 0 {
		f.add("set TOKEND_CLIENTS=NAME and TOKEND_CLIENT_NAME_ISSUER, …, or write "+orUnknown(or(env.Config, places.config)), noClient)
	}
	s.readFiles(file.Files, &f)
	s.keys = readKeys(file.Keys, names, &f)
	return s, f.err()
}

// where settles places and secrets of the service itself.
func (s *settings) where(env environment, places paths, f *faults) {
	if s.listen != off {
		if _, _, err := loopback(s.listen); err != nil {
			f.add("set it to 127.0.0.1:8484, [::1]:8484 or off", "TOKEND_LISTEN: %v", err)
		}
	}
	s.socket = or(env.Socket, places.socket)
	switch {
	case s.socket == "":
		f.add("set it, or HOME or XDG_RUNTIME_DIR", "TOKEND_SOCKET has no default")
	case s.socket == off && s.listen == off:
		f.add("leave one of them", "TOKEND_SOCKET and TOKEND_LISTEN are both off")
	}
	s.store = env.Store
	if s.store == "" {
		if places.store == "" {
			f.add("set it to sqlite:/path/to/tokend.db, or set HOME or XDG_STATE_HOME", "TOKEND_STORE has no default")
		}
		s.store = "sqlite:" + places.store
	}
	s.keyset, s.keysetFile = makeable("TOKEND_STORE_KEY", env.StoreKey, env.StoreKeyFile, besideStore(s.store, places.keyset), f)
	s.spillDir = env.SpillDir
	s.apiKey, s.apiKeyFile = makeable("TOKEND_API_KEY", env.APIKey, env.APIKeyFile, places.apiKey, f)
	checkKey("TOKEND_API_KEY", s.apiKey, f)
}

// makeable is a secret that tokend makes for itself: its value, or else the
// file that has it or will.
func makeable(name, value, file, fallback string, f *faults) (flow.Secret, string) {
	path := or(file, fallback)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && value == "" && credential(name) == "" {
		return "", path
	}
	if value == "" && file == "" && credential(name) == "" {
		file = path
	}
	return secretOf(name, value, file, f), path
}

// besideStore is the default keyset file: in the directory of the database.
func besideStore(store, fallback string) string {
	path, ok := strings.CutPrefix(store, "sqlite:")
	if path = strings.TrimPrefix(path, "//"); !ok || path == "" || path == ":memory:" {
		return fallback
	}
	return filepath.Join(filepath.Dir(path), "keyset.json")
}

// checkKey refuses a caller key that could be guessed or cannot be sent.
func checkKey(name string, key flow.Secret, f *faults) {
	if key == "" {
		return
	}
	if len(key) < minKey || len(key) > 512 {
		f.add("take one from: openssl rand -base64 32", "%s has %d characters, not %d to 512", name, len(key), minKey)
	}
	if strings.ContainsFunc(key.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		f.add("take one from: openssl rand -base64 32", "%s holds a space or another character that a header cannot carry", name)
	}
}

func (s *settings) logging(env environment, f *faults) {
	if err := s.level.UnmarshalText([]byte(env.LogLevel)); err != nil {
		f.add("debug, info, warn or error", "TOKEND_LOG_LEVEL is %q", env.LogLevel)
	}
	if s.json = env.LogFormat == "json"; !s.json && env.LogFormat != "text" {
		f.add("text or json", "TOKEND_LOG_FORMAT is %q", env.LogFormat)
	}
}

// redirect is the default redirect URI, of the configured listener; serve knows
// the real port when that is 0.
func (s *settings) redirect() string {
	_, port, err := loopback(s.listen)
	if err != nil || port == 0 {
		port = 8484
	}
	return redirectTo(port)
}

func redirectTo(port int) string {
	u := url.URL{Scheme: "http", Host: "localhost:" + strconv.Itoa(port), Path: "/callback"}
	return u.String()
}

// clientNames are the clients of file and TOKEND_CLIENTS, sorted.
func clientNames(file fileConfig, fromEnv []string, f *faults) []string {
	var names []string
	for name := range file.Clients {
		names = append(names, name)
	}
	seen := map[string]bool{}
	for _, name := range fromEnv {
		name = strings.TrimSpace(name)
		if seen[name] {
			f.add("name each once", "TOKEND_CLIENTS has client %q twice", name)
		}
		if _, inFile := file.Clients[name]; !inFile && !seen[name] {
			names = append(names, name)
		}
		seen[name] = true
	}
	slices.Sort(names)
	variables := map[string]string{}
	for _, name := range names {
		if !clientName.MatchString(name) {
			f.add("use a-z, 0-9, - and _, starting with a letter or digit, at most 63", "client name %q is not allowed", name)
		}
		if other, ok := variables[variableOf(name)]; ok {
			f.add("rename one", "clients %q and %q have the same variables TOKEND_CLIENT_%s_…", other, name, variableOf(name))
		}
		variables[variableOf(name)] = name
	}
	return names
}

// variableOf is a client's name as it stands in variables.
func variableOf(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

// clientPrefix begins the variables of clients.
const clientPrefix = "TOKEND_CLIENT_"

// variableSet are the names of the process's variables with our prefix, sorted.
type variableSet []string

// hasPrefix reports whether a variable begins with prefix.
func (v variableSet) hasPrefix(prefix string) bool {
	i, _ := slices.BinarySearch(v, prefix)
	return i < len(v) && strings.HasPrefix(v[i], prefix)
}

// unknownVariables finds misspelt variables: a setting that is ignored in
// silence is noticed too late.
func unknownVariables(clients []string, vars variableSet, f *faults) {
	service := variables("TOKEND", &environment{})
	fields := variables("", &clientConfig{})
	named := make(map[string]bool, len(clients))
	for _, name := range clients {
		named[variableOf(name)] = true
	}
	for _, name := range vars {
		if slices.Contains(service, name) || ofClient(name, named, fields) {
			continue
		}
		known := slices.Clone(service)
		for client := range named {
			for _, field := range fields {
				known = append(known, clientPrefix+client+"_"+field)
			}
		}
		hint := "unset it; tokend serve --help lists the variables"
		if strings.HasPrefix(name, clientPrefix) {
			hint = "unset it, or name its client in TOKEND_CLIENTS; tokend serve --help lists the variables"
		}
		f.add(didYouMean(name, known)+hint, "unknown variable %s", name)
	}
}

// ofClient reports whether a variable is a setting of one of the named clients.
func ofClient(variable string, named map[string]bool, fields []string) bool {
	rest, ok := strings.CutPrefix(variable, clientPrefix)
	return ok && slices.ContainsFunc(fields, func(field string) bool {
		client, ok := strings.CutSuffix(rest, "_"+field)
		return ok && named[client]
	})
}

// didYouMean begins the hint for a name that none of known is, with the one that
// is nearly it; "" when none is.
func didYouMean(name string, known []string) string {
	if meant := near.Name(name, known); meant != "" {
		return "did you mean " + meant + "? "
	}
	return ""
}

// tokendVariables are the names of the process's variables with our prefix, sorted.
func tokendVariables() variableSet {
	var names variableSet
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "TOKEND_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// variables are the names that envconfig reads into spec.
func variables(prefix string, spec any) []string {
	var b bytes.Buffer
	if err := envconfig.Usagef(prefix, spec, &b, "{{range .}}{{usage_key .}}\n{{end}}"); err != nil {
		panic(err) // spec is no struct of ours
	}
	return strings.Fields(b.String())
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func orUnknown(path string) string { return or(path, "a file and name it in TOKEND_CONFIG") }
