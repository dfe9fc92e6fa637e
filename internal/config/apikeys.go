package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"example.com/tokend/internal/apikey"
	"example.com/tokend/internal/hint"
)

// readKeys reads the API keys of the configuration.
func (l *loader) readKeys(file map[string]keySchema, clients []string) []Key {
	var keys []Key
	known := make(map[string]bool, len(clients))
	for _, c := range clients {
		known[c] = true
	}
	for _, name := range slices.Sorted(maps.Keys(file)) {
		k, at := file[name], "keys."+name
		if !clientName.MatchString(name) {
			l.add(at, "use a-z, 0-9, - and _", "key name %q is not allowed", name)
		}
		secret := l.secretOf(at+".key", "", at+".key", k.Key, k.KeyFile)
		if k.Key == "" && k.KeyFile == "" {
			l.add(at, "set key_file", "%s.key is missing", at)
		}
		l.checkKey(at+".key", at+".key", secret)
		if len(k.Clients) == 0 {
			l.add(at+".clients", "list the clients that the key may use", "%s.clients is empty", at)
		}
		for _, c := range k.Clients {
			if !known[c] {
				l.add(at+".clients", "one of "+strings.Join(clients, ", "), "%s.clients names the unknown client %q", at, c)
			}
		}
		if allowed := choices(fieldsOf[keySchema](), "access"); k.Access != "" && !slices.Contains(allowed, k.Access) {
			l.add(at+".access", "one of "+strings.Join(allowed, ", "), "%s.access is %q", at, k.Access)
		}
		keys = append(keys, Key{
			Name: name, Secret: secret, Clients: k.Clients, Audiences: k.Audiences, ReadOnly: k.Access == apikey.Read,
			Rate: l.number(at+".rate_limit", at+".rate_limit", k.RateLimit),
		})
	}
	return keys
}

// number reads a number of requests per second; "" is 0.
func (l *loader) number(setting, name, value string) int {
	if value == "" {
		return 0
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		l.add(setting, "requests per second, such as 10", "%s %q is not a number", name, value)
		return 0
	}
	return n
}

// readStoredKeys reads the file of the keys that tokend key add makes.
func (l *loader) readStoredKeys(s Config) []Key {
	keys, err := StoredKeys(s.APIKeysFile)
	if err != nil {
		l.add("api_keys_file", hint.Of(err), "%s: %v", l.nameOf("api_keys_file"), err)
	}
	for _, k := range keys {
		if slices.ContainsFunc(s.Keys, func(o Key) bool { return o.Name == k.Name }) {
			l.add("keys."+k.Name, "rename one, or revoke the other: tokend key revoke "+k.Name, "the file %s has a key %q, too", s.APIKeysFile, k.Name)
		}
	}
	return keys
}

// StoredKeys reads the keys of a file that tokend key add has written.
func StoredKeys(path string) ([]Key, error) {
	if path == "" {
		return nil, nil
	}
	stored, err := apikey.Load(path)
	if err != nil {
		return nil, err
	}
	var keys []Key
	for _, k := range stored {
		key := Key{Name: k.Name, Hash: k.Hash, Clients: k.Clients, Audiences: k.Audiences, ReadOnly: k.Access == apikey.Read, Expires: k.Expires, Rate: k.Rate}
		if slices.Contains(k.Clients, apikey.AllClients) {
			key.Clients = nil
		}
		keys = append(keys, key)
	}
	return keys, nil
}
