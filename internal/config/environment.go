package config

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// Environment is where variables come from.
type Environment struct {
	Lookup  func(name string) (value string, set bool)
	Environ func() []string                     // NAME=value, all of them
	Process func(prefix string, spec any) error // as envconfig.Process
}

// OS is the environment of this process.
func OS() Environment {
	return Environment{Lookup: os.LookupEnv, Environ: os.Environ, Process: envconfig.Process}
}

// Get returns a variable's value, "" when it is not set.
func (e Environment) Get(name string) string {
	value, _ := e.Lookup(name)
	return value
}

// credential returns the path of a systemd credential (systemd.exec(5),
// LoadCredential=), "" when there is none.
func (e Environment) credential(name string) string {
	dir := e.Get("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return ""
	}
	path := filepath.Join(dir, name)
	if _, err := os.Lstat(path); err != nil {
		return ""
	}
	return path
}

// clientPrefix begins the variables of clients.
const clientPrefix = "TOKEND_CLIENT_"

// VariableOf returns a client's name as variables spell it.
func VariableOf(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

// variableOfSetting returns the variable of a setting such as "log_level" or
// "clients.demo.refresh.advisory"; "" for what only a file can hold.
func variableOfSetting(setting string) string {
	upper := func(s string) string { return strings.ToUpper(strings.ReplaceAll(s, ".", "_")) }
	if rest, ok := strings.CutPrefix(setting, "clients."); ok {
		client, field, ok := strings.Cut(rest, ".")
		if !ok {
			return ""
		}
		return clientPrefix + VariableOf(client) + "_" + upper(field)
	}
	if strings.ContainsAny(setting, ".[") {
		return ""
	}
	return "TOKEND_" + upper(setting)
}

// variableSet returns the names of the variables with our prefix, sorted.
type variableSet []string

func (e Environment) tokendVariables() variableSet {
	var names variableSet
	for _, kv := range e.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "TOKEND_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// hasPrefix reports whether a variable begins with prefix.
func (v variableSet) hasPrefix(prefix string) bool {
	i, _ := slices.BinarySearch(v, prefix)
	return i < len(v) && strings.HasPrefix(v[i], prefix)
}

// unknownVariables reports misspelt variables: a setting that is silently ignored is
// noticed too late.
func (l *loader) unknownVariables(clients []string) {
	service := variables("TOKEND", &environment{})
	fields := variables("", &clientSchema{})
	named := make(map[string]bool, len(clients))
	for _, name := range clients {
		named[VariableOf(name)] = true
	}
	for _, name := range l.variables {
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
		l.addAt(name, "", 0, didYouMean(name, known)+hint, "unknown variable %s", name)
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

// variables returns the names that envconfig reads into spec.
func variables(prefix string, spec any) []string {
	var b bytes.Buffer
	if err := envconfig.Usagef(prefix, spec, &b, "{{range .}}{{usage_key .}}\n{{end}}"); err != nil {
		panic(err) // spec is not one of our structs
	}
	return strings.Fields(b.String())
}

// ClientVariables returns the settings of a client as variables' names end.
func ClientVariables() []string {
	list := variables("", &clientSchema{})
	for i, name := range list {
		list[i] = strings.TrimPrefix(name, "_")
	}
	return list
}

// BadVariable says why a token may not be in a variable, or "".
func BadVariable(name string) string {
	switch {
	case !IsVariable(name):
		return "is not a variable name"
	case strings.HasPrefix(name, "TOKEND_"):
		return "is reserved by tokend"
	case slices.Contains([]string{"PATH", "HOME", "SHELL", "IFS", "ENV", "BASH_ENV"}, name),
		strings.HasPrefix(name, "LD_"), strings.HasPrefix(name, "DYLD_"):
		return "is reserved by shells and loaders"
	}
	return ""
}

// DefaultVariable returns the variable for a client's token unless another is set. A
// variable cannot begin with a digit.
func DefaultVariable(client string) string {
	name := VariableOf(client) + "_ACCESS_TOKEN"
	if !IsVariable(name) {
		name = "_" + name
	}
	return name
}

// WithoutSettings returns the environment of a command that tokend runs: without
// tokend's settings, because some are secrets.
func WithoutSettings(environ []string) []string {
	env := []string{}
	for _, kv := range environ {
		if !strings.HasPrefix(kv, "TOKEND_") {
			env = append(env, kv)
		}
	}
	return env
}

// HookEnvironment returns the environment of a hook or a command of on_event, which has
// no use for the service's credentials: [WithoutSettings], and without the headers of a
// collector of traces, which may hold a token. The command of tokend exec keeps these: it
// is a program of its own, whose traces they may be for.
func HookEnvironment(environ []string) []string {
	return slices.DeleteFunc(WithoutSettings(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "OTEL_EXPORTER_OTLP_") && strings.HasSuffix(name, "HEADERS")
	})
}

// IsVariable reports whether POSIX allows s as the name of a variable.
func IsVariable(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
