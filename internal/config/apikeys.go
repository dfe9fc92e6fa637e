package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"example.com/tokend/internal/apikey"
	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// readKeys reads the API keys of the configuration.
func (l *loader) readKeys(file map[string]keySchema, clients []string, main flow.Secret) []Key {
	var keys []Key
	of := map[flow.Secret]string{main: "api_key"} // whose key it is
	known := setOf(clients)
	for _, name := range slices.Sorted(maps.Keys(file)) {
		k, at := file[name], "keys."+name
		if !clientName().MatchString(name) {
			l.add(at, "use a-z, 0-9, - and _", "key name %q is not allowed", name)
		}
		if apikey.Reserved(name) {
			l.add(at, "use another one", "key name %q is reserved", name)
		}
		secret := l.secretOf(at+".key", "", at+".key", k.Key, k.KeyFile)
		if k.Key == "" && k.KeyFile == "" {
			l.add(at, "set key_file", "%s.key is missing", at)
		}
		l.checkKey(at+".key", at+".key", secret)
		if other := of[secret]; other != "" && secret != "" {
			l.add(at+".key", "generate one for each: openssl rand -base64 32", "%s.key is the key of %s", at, other)
		}
		of[secret] = at
		l.checkRights(at, k.Clients, clients, known, k.Access)
		keys = append(keys, Key{
			Name: name, Secret: secret, Clients: k.Clients, Audiences: k.Audiences, ReadOnly: k.Access == apikey.Read,
			Rate: l.number(at+".rate_limit", at+".rate_limit", k.RateLimit),
		})
	}
	return keys
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

// checkRights checks what a key or a caller may do.
func (l *loader) checkRights(at string, named, clients []string, known map[string]bool, access string) {
	if len(named) == 0 {
		l.add(at+".clients", "list the clients that it may use", "%s.clients is empty", at)
	}
	for _, c := range named {
		if !known[c] {
			l.add(at+".clients", "one of "+strings.Join(clients, ", "), "%s.clients names the unknown client %q", at, c)
		}
	}
	if allowed := choices(fieldsOf[keySchema](), "access"); access != "" && !slices.Contains(allowed, access) {
		l.add(at+".access", "one of "+strings.Join(allowed, ", "), "%s.access is %q", at, access)
	}
}

// readCallers reads the callers that need no API key.
func (l *loader) readCallers(file map[string]callerSchema, clients []string, s Config) []Key {
	var callers []Key
	known, owner := setOf(clients), map[string]string{} // of each uid, gid and certificate
	for _, name := range slices.Sorted(maps.Keys(file)) {
		c, at := file[name], "callers."+name
		if !clientName().MatchString(name) || apikey.Reserved(name) {
			l.add(at, "use a-z, 0-9, - and _, and not main, socket, private or tokend", "caller name %q is not allowed", name)
		}
		if slices.ContainsFunc(slices.Concat(s.Keys, s.StoredKeys), func(k Key) bool { return k.Name == name }) {
			l.add(at, "rename one", "there is an API key %q, too", name)
		}
		if len(c.UIDs)+len(c.GIDs)+len(c.Certificates)+len(c.OIDC) == 0 {
			l.add(at, "set uids, gids, certificates or oidc", "%s names no caller", at)
		}
		if len(c.Certificates) > 0 && s.TLS.ClientCAFile == "" {
			l.add(at+".certificates", "set tls_client_ca_file", "%s.certificates has no effect without tls_client_ca_file", at)
		}
		l.checkRights(at, c.Clients, clients, known, c.Access)
		k := Key{
			Name: name, UIDs: l.ids(at+".uids", c.UIDs), GIDs: l.ids(at+".gids", c.GIDs), Certificates: l.certificates(at+".certificates", c.Certificates), Tokens: l.tokenRules(at+".oidc", c.OIDC, s),
			Clients: c.Clients, Audiences: c.Audiences, ReadOnly: c.Access != apikey.Manage, Rate: l.number(at+".rate_limit", at+".rate_limit", c.RateLimit),
		}
		for kind, list := range map[string][]string{"uids": c.UIDs, "gids": c.GIDs, "certificates": k.Certificates, "oidc": identitiesOf(k.Tokens)} {
			for _, id := range list {
				if other := owner[kind+id]; other != "" {
					l.add(at+"."+kind, "name it once", "%s.%s: %s is in callers.%s, too", at, kind, id, other)
				}
				owner[kind+id] = name
			}
		}
		callers = append(callers, k)
	}
	return callers
}

// ids reads the numbers of users or groups.
func (l *loader) ids(setting string, list []string) []int {
	var ids []int
	for _, text := range list {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || strconv.FormatUint(n, 10) != text {
			l.add(setting, "such as 1001: id -u NAME prints it", "%s: %q is not a number of a user or group", setting, text)
		}
		ids = append(ids, int(n)) //nolint:gosec // of 31 bits
	}
	return ids
}

// certificates checks the names of client certificates.
func (l *loader) certificates(setting string, list []string) []string {
	var names []string
	for _, name := range list {
		kind, value, _ := strings.Cut(name, ":")
		if !slices.Contains([]string{"dns", "uri", "email"}, kind) || value == "" {
			l.add(setting, "such as dns:build.example.com, uri:spiffe://example.com/build or email:build@example.com", "%s: %q is not a name of a certificate", setting, name)
		}
		if kind == "dns" {
			name = strings.ToLower(name)
		}
		names = append(names, name)
	}
	return names
}

// Shared reports whether other users may connect to the unix socket.
func (s Config) Shared() bool {
	return slices.ContainsFunc(s.Callers, func(k Key) bool { return len(k.UIDs)+len(k.GIDs) > 0 })
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
