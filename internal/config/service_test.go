package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/apikey"
	"example.com/tokend/pkg/flow"
)

// serviceFile has every setting of the service.
const serviceFile = `listen: 127.0.0.1:9000
socket: /run/tokend/s
store: sqlite:/srv/tokend.db
store_key_file: /srv/keys.json
spill_dir: /srv/spill
api_key_file: /srv/api.key
log_level: debug
log_format: json
` + goodFile

func TestServiceSettings_OfTheFile(t *testing.T) {
	c := mustLoad(t, serviceFile)
	if c.Listen != "127.0.0.1:9000" || c.Socket != "/run/tokend/s" || c.Store != "sqlite:/srv/tokend.db" || c.KeysetFile != "/srv/keys.json" ||
		c.SpillDir != "/srv/spill" || c.APIKeyFile != "/srv/api.key" || c.Level != slog.LevelDebug || !c.JSON {
		t.Errorf("%+v", c)
	}
	if c.Clients[0].RedirectURL != "http://localhost:9000/callback" {
		t.Errorf("redirect_uri %s", c.Clients[0].RedirectURL)
	}
}

func TestServiceSettings_VariablesOverrideTheFile(t *testing.T) {
	key := write(t, filepath.Join(t.TempDir(), "key"), canaryKey, 0o600)
	for name, variables := range map[string][]string{
		"files":  {"TOKEND_API_KEY_FILE=" + key, "TOKEND_STORE_KEY_FILE=" + key},
		"values": {"TOKEND_API_KEY=" + canaryKey, "TOKEND_STORE_KEY=" + canaryKey},
	} {
		c := mustLoad(t, serviceFile, append(variables, "TOKEND_LISTEN=off", "TOKEND_SOCKET=/other/s", "TOKEND_STORE=sqlite::memory:",
			"TOKEND_SPILL_DIR=/other", "TOKEND_LOG_LEVEL=warn", "TOKEND_LOG_FORMAT=text")...)
		if c.Listen != "off" || c.Socket != "/other/s" || c.Store != "sqlite::memory:" || c.SpillDir != "/other" || c.Level != slog.LevelWarn || c.JSON {
			t.Errorf("%s: %+v", name, c)
		}
		if c.APIKey != canaryKey || c.Keyset != canaryKey {
			t.Errorf("%s: another key or keyset", name)
		}
	}
}

// An empty variable is ignored, so that a unit or a shell can override one.
func TestServiceSettings_EmptyVariableIsTheDefault(t *testing.T) {
	c := mustLoad(t, goodFile, "TOKEND_LISTEN=", "TOKEND_LOG_LEVEL=", "TOKEND_LOG_FORMAT=")
	if c.Listen != "127.0.0.1:8484" || c.Level != slog.LevelInfo || c.JSON {
		t.Errorf("%+v", c)
	}
}

// A fault of the file has the key of the file and its line; a fault of a variable has the
// variable's name.
func TestServiceFaultsNameTheirPlace(t *testing.T) {
	for name, c := range map[string]struct {
		file, variable string
		want           string
	}{
		"listen, file":      {"listen: 0.0.0.0:1\n", "", "tokend.yaml:1: listen: address \"0.0.0.0:1\" is reachable"},
		"listen, variable":  {"listen: 127.0.0.1:1\n", "TOKEND_LISTEN=0.0.0.0:1", "TOKEND_LISTEN: address \"0.0.0.0:1\" is reachable"},
		"both off":          {"listen: off\nsocket: off\n", "", "tokend.yaml:2: socket and listen are both off"},
		"log_level, file":   {"log_level: loud\n", "", "tokend.yaml:1: log_level is \"loud\"; hint: one of debug, info, warn, error"},
		"log_format":        {"log_format: xml\n", "", "tokend.yaml:1: log_format is \"xml\"; hint: one of text, json"},
		"audit_max_size":    {"audit_file: /a/b\naudit_max_size: 3MB\n", "", "tokend.yaml:2: audit_max_size \"3MB\" is not a size; hint: such as 32MiB"},
		"audit, too small":  {"audit_file: /a/b\naudit_max_size: 1KiB\n", "", "tokend.yaml:2: audit_max_size \"1KiB\" is not a size"},
		"audit, too large":  {"audit_file: /a/b\naudit_max_size: 9999999999GiB\n", "", "tokend.yaml:2: audit_max_size"},
		"audit_keep":        {"audit_file: /a/b\n", "TOKEND_AUDIT_KEEP=0", "TOKEND_AUDIT_KEEP \"0\" is not a number of files; hint: a number"},
		"audit, no file":    {"audit_keep: 3\n", "", "tokend.yaml:1: audit_keep has no effect without audit_file"},
		"api_key_file":      {"api_key_file: /dev/null\n", "", "tokend.yaml:1: api_key_file: secret file /dev/null is not a regular file"},
		"api_key_file, var": {"", "TOKEND_API_KEY_FILE=/dev/null", "TOKEND_API_KEY_FILE: secret file /dev/null is not a regular file"},
		"store_key_file":    {"store_key_file: /dev/null\n", "", "tokend.yaml:1: store_key_file: secret file /dev/null is not a regular file"},
		"client":            {goodFile + "    leeway: 30\n", "", "tokend.yaml:5: client demo: leeway \"30\" is not a duration"},
		"client, missing":   {"clients:\n  demo:\n    client_id: x\n", "", "tokend.yaml:2: client demo: issuer is missing"},
		"client, variable":  {goodFile + "    leeway: 30\n", "TOKEND_CLIENT_DEMO_LEEWAY=31", "client demo: leeway \"31\" is not a duration"},
		"key":               {"keys:\n  ci:\n    key_file: /dev/null\n    clients: [demo]\n" + goodFile, "", "tokend.yaml:3: keys.ci.key_file: secret file /dev/null"},
		"file":              {goodFile + "files:\n- {client: ci, path: /x}\n", "", "tokend.yaml:6: file /x names the unknown client"},
	} {
		t.Run(name, func(t *testing.T) {
			home, _ := homeWith(t, c.file)
			_, faults := loadAt(t, home, c.variable)
			if !slices.ContainsFunc(faults, func(f Fault) bool {
				return strings.HasPrefix(strings.TrimPrefix(f.String(), filepath.Join(home, ".config/tokend")+"/"), c.want)
			}) {
				t.Errorf("no fault begins with %q:\n%v", c.want, faults)
			}
		})
	}
}

func TestLifetimesConfigured(t *testing.T) {
	for _, c := range []Config{
		mustLoad(t, goodFile+"    lifetime: 1h\n    idle: 360h\n    absolute: 2160h\n"),
		mustLoad(t, "", demo("LIFETIME=1h", "IDLE=360h", "ABSOLUTE=2160h")...),
	} {
		if cl := c.Clients[0]; cl.Lifetime != time.Hour || cl.Idle != 360*time.Hour || cl.Absolute != 2160*time.Hour {
			t.Errorf("%v, %v, %v", cl.Lifetime, cl.Idle, cl.Absolute)
		}
	}
	_, faults := loadAt(t, t.TempDir(), demo("LIFETIME=1", "IDLE=x", "ABSOLUTE=-1h")...)
	if missing := lacking(faults, `lifetime "1" is not a duration`, `idle "x" is not`, `absolute "-1h" is not`); len(missing) > 0 {
		t.Errorf("no fault has %q: %v", missing, faults)
	}
}

func TestLocate(t *testing.T) {
	home, path := homeWith(t, serviceFile)
	find := func(variables ...string) func(string) string {
		env := environ(t, append([]string{"HOME=" + home}, variables...)...)
		return Locate(env, DefaultPaths(env))
	}
	for name, want := range map[string]string{"TOKEND_LISTEN": "127.0.0.1:9000", "TOKEND_SOCKET": "/run/tokend/s", "TOKEND_API_KEY_FILE": "/srv/api.key", "HOME": home, "TOKEND_STORE": ""} {
		if got := find()(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if got := find("TOKEND_LISTEN=off")("TOKEND_LISTEN"); got != "off" {
		t.Errorf("the file overrides a variable: %q", got)
	}
	if got := find("TOKEND_API_KEY=" + canaryKey)("TOKEND_API_KEY_FILE"); got != "" {
		t.Errorf("the file's key together with a key: %q", got)
	}
	if got := find("TOKEND_CONFIG=/nonexistent")("TOKEND_LISTEN"); got != "" {
		t.Errorf("of no file: %q", got)
	}
	write(t, path, "clients:\n  listen:\n    x: y\nlisten: [\n", 0o600)
	if got := find()("TOKEND_LISTEN"); got != "" {
		t.Errorf("of a broken file: %q", got)
	}
}

// TestNeedsRestart: every setting of the service is either active after a reload or
// reported, also one that is new.
func TestNeedsRestart(t *testing.T) {
	reloaded := []string{"Clients", "Keys", "APIKey", "APIKeyFile", "StoredKeys", "Callers"}
	derived := []string{"StateDir", "Keyset", "KeysetInFile", "APIKeysFile"} // from other settings, or followed by the store
	old := Config{}
	if got := old.NeedsRestart(Config{Clients: []Client{{Config: flow.Config{Name: "a"}}}}); got != nil {
		t.Errorf("other clients: %v", got)
	}
	var all int
	var walk func(next *Config, v reflect.Value, path string)
	walk = func(next *Config, v reflect.Value, path string) {
		for i := range v.NumField() {
			f, name := v.Field(i), v.Type().Field(i).Name
			if path == "" && (slices.Contains(reloaded, name) || slices.Contains(derived, name)) {
				continue
			}
			if f.Kind() == reflect.Struct {
				walk(next, f, name+".")
				continue
			}
			setSome(f)
			if got := old.NeedsRestart(*next); len(got) != 1 {
				t.Errorf("%s%s: a change is reported as %v", path, name, got)
			}
			f.SetZero()
			all++
		}
	}
	next := &Config{}
	walk(next, reflect.ValueOf(next).Elem(), "")
	if all < 12 {
		t.Errorf("only %d settings", all)
	}
}

// setSome sets a value that is not zero.
func setSome(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	}
}

// TestStore_Postgres: the password is read from its file, and what a database on
// another machine cannot keep is in the state directory.
func TestStore_Postgres(t *testing.T) {
	password := write(t, filepath.Join(t.TempDir(), "password"), canarySecret+"\n", 0o600)
	for name, variables := range map[string][]string{
		"file":  {"TOKEND_STORE_PASSWORD_FILE=" + password},
		"value": {"TOKEND_STORE_PASSWORD=" + canarySecret},
	} {
		home, _ := homeWith(t, goodFile)
		env := environ(t, append(variables, "HOME="+home, "TOKEND_STORE=postgres://u@h1,h2/db")...)
		c, faults := Load(env, DefaultPaths(env))
		state := filepath.Join(home, ".local/state/tokend")
		if faults != nil || c.StorePassword != canarySecret || c.StateDir != state || c.KeysetFile != filepath.Join(state, "keyset.json") {
			t.Errorf("%s: %v, %+v", name, faults, c)
		}
		list, _ := Show(env, DefaultPaths(env))
		for _, s := range list {
			if s.Value == canarySecret {
				t.Errorf("%s: config show prints %+v", name, s)
			}
		}
	}
}

func TestStore_PasswordOfSQLite(t *testing.T) {
	home, _ := homeWith(t, goodFile)
	_, faults := loadAt(t, home, "TOKEND_STORE_PASSWORD="+canarySecret)
	if len(faults) != 1 || !strings.Contains(faults[0].String(), "TOKEND_STORE_PASSWORD has no effect with a sqlite store") || strings.Contains(faults[0].String(), canarySecret) {
		t.Error(faults)
	}
}

func TestStoredKeys_Faults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "of-the-cli.json")
	if err := apikey.Add(path, apikey.Key{Name: "ci", Hash: apikey.Hash{1}, Clients: []string{"demo"}, Access: apikey.Read}); err != nil {
		t.Fatal(err)
	}
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ stored, file, want string }{
		"malformed":                {"{", goodFile, "TOKEND_API_KEYS_FILE: "},
		"a name of the file's key": {string(stored), "keys:\n  ci: {key: a-key-0123456789abc, clients: [demo]}\n" + goodFile, `has a key "ci", too; hint: rename one, or revoke the other: tokend key revoke ci`},
	} {
		path := write(t, filepath.Join(t.TempDir(), "api-keys.json"), c.stored, 0o600)
		home, _ := homeWith(t, c.file)
		_, faults := loadAt(t, home, "TOKEND_API_KEYS_FILE="+path)
		if len(faults) != 1 || !strings.Contains(faults[0].String(), c.want) || !strings.Contains(faults[0].String(), path) {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

func TestStore_URLIsChecked(t *testing.T) {
	for store, want := range map[string]string{
		"redis:x": `TOKEND_STORE: scheme "redis" is not supported`, "sqlite:": "names no file", "postgres://u:" + canarySecret + "/@h/db": "must be escaped",
	} {
		home, _ := homeWith(t, goodFile)
		env := environ(t, "HOME="+home, "TOKEND_STORE="+store)
		_, faults := Load(env, DefaultPaths(env))
		if len(faults) != 1 || !strings.Contains(faults[0].String(), want) || strings.Contains(faults[0].String(), canarySecret) {
			t.Errorf("%s: %v", store, faults)
		}
	}
}

func TestAudit_Settings(t *testing.T) {
	if c := mustLoad(t, goodFile); c.Audit.File != "" {
		t.Errorf("%+v", c.Audit)
	}
	if c := mustLoad(t, "audit_file: /a/b\n"+goodFile); c.Audit != (Audit{"/a/b", 32 << 20, 4}) {
		t.Errorf("%+v", c.Audit)
	}
	if c := mustLoad(t, "audit_file: /a/b\naudit_max_size: 20000\n"+goodFile, "TOKEND_AUDIT_KEEP=9", "TOKEND_AUDIT_FILE=/c"); c.Audit != (Audit{"/c", 20000, 9}) {
		t.Errorf("%+v", c.Audit)
	}
}

func TestCallers_Faults(t *testing.T) {
	const tls = "tls_listen: 0.0.0.0:8443\ntls_cert_file: /c\ntls_key_file: /k\ntls_client_ca_file: /ca\n"
	for name, c := range map[string]struct{ callers, want string }{
		"no caller":       {"  a: {clients: [demo]}\n", "callers.a names no caller; hint: set uids"},
		"no clients":      {"  a: {uids: ['1']}\n", "callers.a.clients is empty"},
		"unknown client":  {"  a: {uids: ['1'], clients: [x]}\n", `callers.a.clients names the unknown client "x"`},
		"access":          {"  a: {uids: ['1'], clients: [demo], access: all}\n", `callers.a.access is "all"; hint: one of read, manage`},
		"a user's name":   {"  a: {uids: [root], clients: [demo]}\n", `callers.a.uids: "root" is not a number`},
		"a negative gid":  {"  a: {gids: ['-1'], clients: [demo]}\n", `callers.a.gids: "-1" is not a number`},
		"no kind":         {"  a: {certificates: [x.example.com], clients: [demo]}\n", `callers.a.certificates: "x.example.com" is not a name of a certificate`},
		"an empty name":   {"  a: {certificates: ['dns:'], clients: [demo]}\n", `"dns:" is not a name`},
		"twice":           {"  a: {uids: ['1'], clients: [demo]}\n  b: {uids: ['1'], clients: [demo]}\n", "callers.b.uids: 1 is in callers.a, too"},
		"a host twice":    {"  a: {certificates: ['dns:x', 'dns:X'], clients: [demo]}\n", "callers.a.certificates: dns:x is in callers.a, too"},
		"a reserved name": {"  socket: {uids: ['1'], clients: [demo]}\n", `caller name "socket" is not allowed`},
		"a key's name":    {"  a: {uids: ['1'], clients: [demo]}\nkeys:\n  a: {key: a-key-0123456789abc, clients: [demo]}\n", `there is an API key "a", too`},
		"rate":            {"  a: {uids: ['1'], clients: [demo], rate_limit: '-1'}\n", `callers.a.rate_limit "-1" is not a number`},
		"access of a key": {"  a: {uids: ['1'], clients: [demo]}\nkeys:\n  k: {key: a-key-0123456789abc, clients: [demo], access: none}\n", `keys.k.access is "none"`},
	} {
		_, faults := loadAt(t, homeOf(t, tls+"callers:\n"+c.callers+goodFile))
		if !strings.Contains(faults.Error(), c.want) || !strings.Contains(faults.Error(), "tokend.yaml:") || !strings.Contains(faults.Error(), "hint: ") {
			t.Errorf("%s: %v", name, faults)
		}
	}
	_, faults := loadAt(t, homeOf(t, "callers:\n  a: {certificates: ['dns:x'], clients: [demo]}\n"+goodFile))
	if !strings.Contains(faults.Error(), "callers.a.certificates has no effect without tls_client_ca_file") {
		t.Error(faults)
	}
	_, faults = loadAt(t, homeOf(t, "tls_client_ca_file: /ca\n"+goodFile))
	if !strings.Contains(faults.Error(), "tls_client_ca_file has no effect without tls_listen") {
		t.Error(faults)
	}
	c := mustLoad(t, tls+"caller_rate_limit: 100\ncallers:\n  a: {uids: ['1'], gids: ['2'], certificates: ['dns:X', 'uri:a:B'], clients: [demo], audiences: [x], rate_limit: 7}\n"+goodFile)
	k := c.Callers[0]
	if c.CallerRate != 100 || !c.Shared() || !k.ReadOnly || k.Rate != 7 || !slices.Equal(k.UIDs, []int{1}) || !slices.Equal(k.GIDs, []int{2}) ||
		!slices.Equal(k.Certificates, []string{"dns:x", "uri:a:B"}) || !slices.Equal(k.Audiences, []string{"x"}) {
		t.Errorf("%+v", c)
	}
}

func TestCallers_Tokens(t *testing.T) {
	const good = "{issuer: 'https://i.test/', audience: a, subject: s}"
	for name, c := range map[string]struct{ callers, want string }{
		"no issuer":          {"  a: {oidc: [{audience: a, subject: s}], clients: [demo]}\n", "callers.a.oidc[0].issuer: the issuer is missing; hint: "},
		"plain HTTP":         {"  a: {oidc: [{issuer: 'http://i.test/', audience: a, subject: s}], clients: [demo]}\n", `callers.a.oidc[0].issuer: issuer "http://i.test/" is plain HTTP to another machine; hint: use https://`},
		"no audience":        {"  a: {oidc: [{issuer: 'https://i.test/', subject: s}], clients: [demo]}\n", "callers.a.oidc[0].audience is missing"},
		"no subject":         {"  a: {oidc: [{issuer: 'https://i.test/', audience: a}], clients: [demo]}\n", "callers.a.oidc[0].subject is missing"},
		"any subject":        {"  a: {oidc: [" + good + ", {issuer: 'https://i.test/', audience: a, subject: '**'}], clients: [demo]}\n", "callers.a.oidc[1].subject begins with *, and would admit everyone"},
		"three stars":        {"  a: {oidc: [{issuer: 'https://i.test/', audience: a, subject: 'a***'}], clients: [demo]}\n", "callers.a.oidc[0].subject has more than two * in a row"},
		"two callers":        {"  a: {oidc: [" + good + "], clients: [demo]}\n  b: {oidc: [" + good + "], clients: [demo]}\n", "callers.b.oidc: s of https://i.test/ for a is in callers.a, too"},
		"two authorities":    {"  a: {oidc: [" + good + "], clients: [demo]}\n  b: {oidc: [{issuer: 'https://i.test/', audience: b, subject: s, ca_file: /ca}], clients: [demo]}\n", "callers.b.oidc[0].ca_file: the issuer https://i.test/ has another one"},
		"an unknown setting": {"  a: {oidc: [{isuer: x}], clients: [demo]}\n", "unknown key callers.a.oidc[0].isuer; hint: did you mean issuer?"},
	} {
		_, faults := loadAt(t, homeOf(t, "callers:\n"+c.callers+goodFile))
		if !strings.Contains(faults.Error(), c.want) || !strings.Contains(faults.Error(), "tokend.yaml:") || !strings.Contains(faults.Error(), "hint: ") {
			t.Errorf("%s: %v", name, faults)
		}
	}
	_, faults := loadAt(t, homeOf(t, "listen: \"off\"\ncallers:\n  a: {oidc: ["+good+"], clients: [demo]}\n"+goodFile))
	if !strings.Contains(faults.Error(), "callers.a.oidc has no effect on a unix socket") {
		t.Error(faults)
	}
	c := mustLoad(t, "callers:\n  a: {oidc: [{issuer: 'https://i.test', audience: a, subject: 'repo:x/*', ca_file: /ca}], clients: [demo]}\n"+goodFile)
	if k := c.Callers[0]; c.Shared() || !k.ReadOnly || !slices.Equal(k.Tokens, []TokenRule{{"https://i.test", "a", "repo:x/*", "/ca"}}) {
		t.Errorf("%+v", k)
	}
	if _, err := c.Callers[0].Tokens[0].RootCAs(); err == nil || !strings.Contains(err.Error(), "ca_file: ") {
		t.Errorf("%v", err)
	}
}
