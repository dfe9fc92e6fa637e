package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"example.com/tokend/internal/durable"
	"example.com/tokend/pkg/flow"
)

var goodClient = []string{
	"TOKEND_CLIENTS=demo", "TOKEND_CLIENT_DEMO_ISSUER=https://acme.eu.auth0.com/",
	"TOKEND_CLIENT_DEMO_CLIENT_ID=id", "TOKEND_CLIENT_DEMO_CLIENT_SECRET=" + canarySecret,
}

// Two callers with one key could not be distinguished.
func TestKeys_OfOneValue(t *testing.T) {
	key := func(name, value string) string { return "  " + name + ": {key: " + value + ", clients: [demo]}\n" }
	home, _ := homeWith(t, goodFile+"keys:\n"+key("a", "CANARY-key-0123456789")+key("b", "CANARY-key-0123456789")+key("c", canaryKey))
	_, faults := loadAt(t, home, "TOKEND_API_KEY="+canaryKey)
	for _, want := range []string{"keys.b.key is the key of keys.a; hint: ", "keys.c.key is the key of api_key; hint: "} {
		if !strings.Contains(faults.Error(), want) {
			t.Errorf("%v lack %q", faults, want)
		}
	}
	noCanary(t, faults)
}

// A host with a password is refused without it.
func TestHosts_PasswordIsMasked(t *testing.T) {
	home, _ := homeWith(t, goodFile+"    hosts: ['u:CANARY@git.example.com']\n")
	_, faults := loadAt(t, home)
	if !strings.Contains(faults.Error(), `hosts: "u:xxxxx@git.example.com" is not a host`) {
		t.Error(faults)
	}
	noCanary(t, faults)
}

const goodFile = "clients:\n  demo:\n    issuer: https://acme.eu.auth0.com/\n    client_id: id\n"

var faultCases = map[string]struct {
	env     []string // in addition to goodClient, unless there is a file
	file    string
	want    []string // in the faults
	alone   bool     // no other fault is reported
	exactly int      // so many faults are
}{
	"nothing":               {env: []string{"TOKEND_CLIENTS="}, want: []string{"no client is configured"}},
	"unknown variable":      {env: []string{"TOKEND_ISUER=x"}, want: []string{"unknown variable TOKEND_ISUER"}},
	"unknown client field":  {env: []string{"TOKEND_CLIENT_DEMO_ISUER=x"}, want: []string{"unknown variable TOKEND_CLIENT_DEMO_ISUER"}},
	"variable of no client": {env: []string{"TOKEND_CLIENT_CI_ISSUER=x"}, want: []string{"unknown variable TOKEND_CLIENT_CI_ISSUER"}},
	"client twice":          {env: []string{"TOKEND_CLIENTS=demo,demo"}, want: []string{`duplicate client "demo"`}},
	"same variables":        {env: []string{"TOKEND_CLIENTS=demo,a-b,a_b"}, want: []string{`clients "a-b" and "a_b" have the same variables`}},
	"bad name":              {env: []string{"TOKEND_CLIENTS=demo,a/b"}, want: []string{`client name "a/b" is not allowed`}},
	"missing":               {env: []string{"TOKEND_CLIENTS=demo,ci"}, want: []string{"client ci: issuer is missing", "client ci: client_id is missing", "TOKEND_CLIENT_CI_ISSUER"}},
	"TestB12 http issuer":   {env: []string{"TOKEND_CLIENT_DEMO_ISSUER=http://acme.example.com/"}, want: []string{"client demo:", "http", "hint: use https://, or set insecure_allow_http for your own provider"}},
	"grant":                 {env: []string{"TOKEND_CLIENT_DEMO_GRANT=implicit"}, want: []string{`grant "implicit" is not supported`}},
	"login":                 {env: []string{"TOKEND_CLIENT_DEMO_LOGIN=phone"}, want: []string{`login "phone" is not supported`}},
	"auth":                  {env: []string{"TOKEND_CLIENT_DEMO_TOKEN_AUTH=tls_client_auth"}, want: []string{`token_auth "tls_client_auth" is not supported`}},
	"rotation":              {env: []string{"TOKEND_CLIENT_DEMO_ROTATION=maybe"}, want: []string{`rotation "maybe"`}},
	"duration":              {env: []string{"TOKEND_CLIENT_DEMO_LEEWAY=30"}, want: []string{`leeway "30" is not a duration`}},
	"negative duration":     {env: []string{"TOKEND_CLIENT_DEMO_REFRESH_ADVISORY=-1m"}, want: []string{`refresh.advisory "-1m"`}},
	"bool":                  {env: []string{"TOKEND_CLIENT_DEMO_INSECURE_ALLOW_HTTP=maybe"}, want: []string{"TOKEND_CLIENT_DEMO_INSECURE_ALLOW_HTTP"}},
	"params":                {env: []string{"TOKEND_CLIENT_DEMO_AUTHORIZE_PARAMS=prompt"}, want: []string{"TOKEND_CLIENT_DEMO_AUTHORIZE_PARAMS", "name:value"}},
	"upstream http":         {env: []string{"TOKEND_CLIENT_DEMO_UPSTREAMS=https://api.example.com/,http://api.example.com/"}, want: []string{`client demo: upstream "http://api.example.com/" is plain HTTP`, "hint: use a URL such as"}},
	"upstreams, all":        {env: []string{"TOKEND_CLIENT_DEMO_UPSTREAMS=https://a.example.com/?x, https://u:" + canarySecret + "@b.example.com/"}, want: []string{"has a query", `of host "b.example.com" contains a user`}},
	"seed missing":          {env: []string{"TOKEND_CLIENT_DEMO_GRANT=refresh_token"}, want: []string{"client demo: refresh_token is missing"}},
	"unused seed":           {env: []string{"TOKEND_CLIENT_DEMO_REFRESH_TOKEN=" + canaryFresh}, want: []string{"refresh_token has no effect"}},
	"both secrets":          {env: []string{"TOKEND_CLIENT_DEMO_CLIENT_SECRET_FILE=/nonexistent"}, want: []string{"both client_secret and client_secret_file are set"}},
	"both API keys":         {env: []string{"TOKEND_API_KEY=" + canaryKey, "TOKEND_API_KEY_FILE=/nonexistent"}, want: []string{"both TOKEND_API_KEY and TOKEND_API_KEY_FILE are set"}},
	"no API key file":       {env: []string{"TOKEND_API_KEY_FILE=/dev/null/key"}, want: []string{"TOKEND_API_KEY_FILE: secret file /dev/null/key cannot be read: not a directory; hint: use a file"}, alone: true},
	"all of a client": {
		env:     []string{"TOKEND_CLIENT_DEMO_ISSUER=http://acme.example.com/", "TOKEND_CLIENT_DEMO_LEEWAY=-30s", "TOKEND_CLIENT_DEMO_REDIRECT_URI=callback", "TOKEND_CLIENT_DEMO_TOKEN_AUTH=x"},
		want:    []string{`token_auth "x" is not supported`, `leeway "-30s" is not a duration`, `client demo: issuer "http://acme.example.com/" is plain HTTP`, `client demo: redirect_uri "callback" is not an absolute URL`},
		exactly: 4,
	},
	"missing and wrong": {
		env:     []string{"TOKEND_CLIENT_DEMO_ISSUER=", "TOKEND_CLIENT_DEMO_GRANT=password", "TOKEND_CLIENT_DEMO_REDIRECT_URI=callback"},
		want:    []string{"issuer is missing", "username is missing", "password is missing", `redirect_uri "callback"`},
		exactly: 5,
	},
	"short API key":          {env: []string{"TOKEND_API_KEY=short"}, want: []string{"TOKEND_API_KEY has 5 characters"}},
	"TestX12 any address":    {env: []string{"TOKEND_LISTEN=0.0.0.0:8484"}, want: []string{`TOKEND_LISTEN: address "0.0.0.0:8484" is reachable from other machines`}},
	"TestX12 empty address":  {env: []string{"TOKEND_LISTEN=:8484"}, want: []string{`TOKEND_LISTEN: address ":8484"`}},
	"TestX12 v6 any":         {env: []string{"TOKEND_LISTEN=[::]:8484"}, want: []string{`TOKEND_LISTEN: address "[::]:8484"`}},
	"TestX12 name":           {env: []string{"TOKEND_LISTEN=tokend.example:8484"}, want: []string{`TOKEND_LISTEN: address "tokend.example:8484"`}},
	"TestX12 other loopback": {env: []string{"TOKEND_LISTEN=127.0.0.2:8484"}, want: []string{"TOKEND_LISTEN"}},
	"no port":                {env: []string{"TOKEND_LISTEN=127.0.0.1"}, want: []string{`TOKEND_LISTEN: address "127.0.0.1" is not host:port`}},
	"bad port":               {env: []string{"TOKEND_LISTEN=127.0.0.1:http"}, want: []string{"has no port from 0 to 65535"}},
	"large port":             {env: []string{"TOKEND_LISTEN=127.0.0.1:65536"}, want: []string{"has no port from 0 to 65535"}},
	"API key with a space":   {env: []string{"TOKEND_API_KEY=an api key that no header carries"}, want: []string{"TOKEND_API_KEY contains a character"}},
	"no home":                {env: []string{"HOME="}, want: []string{"TOKEND_SOCKET has no default", "TOKEND_STORE has no default"}},
	"both off":               {env: []string{"TOKEND_LISTEN=off", "TOKEND_SOCKET=off"}, want: []string{"both off"}},
	"log":                    {env: []string{"TOKEND_LOG_LEVEL=loud", "TOKEND_LOG_FORMAT=xml"}, want: []string{`TOKEND_LOG_LEVEL is "loud"`, `TOKEND_LOG_FORMAT is "xml"`}},
	"no such file":           {env: []string{"TOKEND_CONFIG=/nonexistent/tokend.yaml"}, want: []string{"TOKEND_CONFIG: /nonexistent/tokend.yaml cannot be read: no such file or directory; hint: "}, alone: true},

	"file: large":            {file: goodFile + strings.Repeat("#", maxConfig), want: []string{"is larger than 64 MiB"}},
	"file: reserved name":    {file: goodFile + "keys:\n  socket:\n    key: " + canaryKey + "\n    clients: [demo]\n", want: []string{`key name "socket" is reserved`}},
	"file: name of a key":    {file: goodFile + "keys:\n  'a b':\n    key: " + canaryKey + "\n    clients: [demo]\n", want: []string{`key name "a b" is not allowed`}},
	"file: duplicate client": {file: goodFile + "  demo:\n    issuer: x\n", want: []string{"tokend.yaml:5: duplicate key clients.demo (first on line 2)"}},
	"file: unknown keys": {
		file: "client: {}\n" + goodFile + "    isuer: x\n    refresh: {advisory: 1m, optional: 2m}\n",
		want: []string{"tokend.yaml:1: unknown key client;", "tokend.yaml:6: unknown key clients.demo.isuer", "tokend.yaml:7: unknown key clients.demo.refresh.optional"},
	},
	"file: scopes":         {file: goodFile + "    scopes: openid x\n", want: []string{"tokend.yaml:5: clients.demo.scopes must be a list; hint: write [one, another]"}, alone: true},
	"file: hosts":          {file: goodFile + "    hosts: git.example.com\n", want: []string{"tokend.yaml:5: clients.demo.hosts must be a list"}, alone: true},
	"file: list":           {file: "clients:\n  - demo\n", want: []string{"tokend.yaml:2: clients must be a mapping; hint: "}, alone: true},
	"file: mapping":        {file: goodFile + "    refresh: 10m\n", want: []string{"tokend.yaml:5: clients.demo.refresh must be a mapping"}, alone: true},
	"file: single value":   {file: goodFile + "    client_secret: [" + canarySecret + "]\n", want: []string{"tokend.yaml:5: clients.demo.client_secret must be a single value"}, alone: true},
	"file: true or false":  {file: goodFile + "    insecure_allow_http: 'true'\n", want: []string{"tokend.yaml:5: clients.demo.insecure_allow_http must be true or false; hint: without quotes"}, alone: true},
	"file: text":           {file: "just text\n", want: []string{"tokend.yaml:1: the file must be a mapping"}, alone: true},
	"file: alias":          {file: "clients:\n  demo: &demo {issuer: x}\n  two: {hosts: *demo}\n", want: []string{"tokend.yaml:2:15: wrong type of value"}, alone: true},
	"file: syntax":         {file: "clients:\n  demo: {\n", want: []string{"tokend.yaml:2:9: invalid YAML; hint: check that line"}, alone: true},
	"file: client":         {file: strings.Replace(goodFile, "clients", "client", 1), env: []string{"TOKEND_CLIENT_DEMO_CLIENT_SECRET=" + canarySecret}, want: []string{"tokend.yaml:1: unknown key client; hint: did you mean clients? one of clients, keys, callers, files, on_event, listen, "}, alone: true},
	"file: near":           {file: goodFile + "    clientId: x\n", want: []string{"unknown key clients.demo.clientId; hint: did you mean client_id? "}},
	"file: two documents":  {file: goodFile + "---\nclients: {}\n", want: []string{"2 YAML documents"}},
	"file: key":            {file: goodFile + "keys:\n  ci:\n    clients: [missing]\n", want: []string{"keys.ci.key is missing", `keys.ci.clients names the unknown client "missing"`}},
	"hosts":                {env: []string{"TOKEND_CLIENT_DEMO_HOSTS=git.example.com, https://git.example.com"}, want: []string{`client demo: hosts: "https://git.example.com" is not a host; hint: such as`}, alone: true},
	"env":                  {env: []string{"TOKEND_CLIENT_DEMO_ENV=GOOD,1BAD"}, want: []string{`client demo: env "1BAD" is not a variable name`}},
	"env of tokend":        {env: []string{"TOKEND_CLIENT_DEMO_ENV=TOKEND_ADDR"}, want: []string{`env "TOKEND_ADDR" is reserved by tokend`}},
	"relative file":        {env: []string{"TOKEND_CLIENT_DEMO_FILE=token"}, want: []string{`file of client demo: path "token" is not an absolute path`}},
	"actions_id_token":     {env: []string{"TOKEND_CLIENT_DEMO_ACTIONS_ID_TOKEN=on"}, want: []string{`TOKEND_CLIENT_DEMO_ACTIONS_ID_TOKEN is "on"; hint: true or false`}},
	"file: unknown client": {file: goodFile + "files:\n  - {client: ci, path: /run/t}\n", want: []string{`file /run/t names the unknown client "ci"`}},
	"file: file twice":     {file: goodFile + "    file: /run/t\nfiles:\n  - {client: demo, path: /run/t}\n", want: []string{`duplicate file /run/t`}},
	"file: file faults": {
		file: goodFile + "files:\n  - {client: demo, path: /run/t, mode: rw, format: xml, min_validity: 5, hook: [no-such-hook]}\n",
		want: []string{`file /run/t: mode "rw" is not an octal mode`, `format "xml" is not one of`, `files.min_validity "5" is not a duration`, "hook of file /run/t: "},
	},
	"file: file's mode":    {file: goodFile + "files:\n  - {client: demo, path: /run/t, mode: '0644'}\n", want: []string{"mode 0644 is not for the owner"}},
	"file: file's keys":    {file: goodFile + "files:\n  - {client: demo, path: /run/t, hok: x}\n", want: []string{"tokend.yaml:6: unknown key files[0].hok; hint: did you mean hook? one of client, path"}},
	"file: key of nothing": {file: goodFile + "keys:\n  ci:\n    key: " + canaryKey + "\n", want: []string{"keys.ci.clients is empty"}},
}

func TestB18_Faults(t *testing.T) {
	for name, c := range faultCases {
		t.Run(name, func(t *testing.T) {
			home, _ := homeWith(t, c.file)
			variables := c.env
			if c.file == "" {
				variables = append(append([]string{}, goodClient...), c.env...)
			}
			_, faults := loadAt(t, home, variables...)
			for _, want := range lacking(faults, c.want...) {
				t.Errorf("no fault has %q:\n%v", want, faults)
			}
			if n := len(faults); n == 0 || c.alone && n != 1 || c.exactly > 0 && n != c.exactly {
				t.Errorf("%d faults:\n%v", n, faults)
			}
			noCanary(t, faults)
			if _, err := os.Stat(filepath.Join(home, ".local")); err == nil {
				t.Error("something was made")
			}
		})
	}
}

func TestB18_SecretFiles(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ path, want string }{
		"empty":      {write(t, filepath.Join(dir, "empty"), "\n", 0o600), "is empty"},
		"mode 0644":  {write(t, filepath.Join(dir, "open"), canarySecret, 0o644), "is open to everyone (mode 0644); hint: chmod 600"},
		"unreadable": {filepath.Join(dir, "absent"), "cannot be read: no such file"},
		"directory":  {dir, "is not a regular file"},
		"huge":       {write(t, filepath.Join(dir, "huge"), strings.Repeat("x", durable.MaxSecret+1), 0o600), "is larger than 64 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := loadAt(t, t.TempDir(), append(goodClient[:3:3], "TOKEND_CLIENT_DEMO_CLIENT_SECRET_FILE="+c.path)...)
			if missing := lacking(faults, c.path+" "+c.want, "client demo: client_secret"); len(missing) > 0 {
				t.Errorf("no fault has %q: %v", missing, faults)
			}
			noCanary(t, faults)
		})
	}
}

// tokend made a key or a keyset at its default path, so only its user may read it; one
// that a variable names may be readable for a group.
func TestOwnFilesAreForTheirUserAlone(t *testing.T) {
	for variable, name := range map[string]string{"TOKEND_API_KEY_FILE": "api.key", "TOKEND_STORE_KEY_FILE": "keyset.json"} {
		home := t.TempDir()
		path := write(t, filepath.Join(home, ".local/state/tokend", name), canaryKey, 0o640)
		_, faults := loadAt(t, home, goodClient...)
		if len(faults) != 1 || faults[0].String() != variable+": secret file "+path+" is open to its group (mode 0640); hint: chmod 600 "+path {
			t.Errorf("%s: %v", name, faults)
		}
		if !faults.About(strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(variable, "TOKEND_"), "_FILE"))) {
			t.Errorf("%s: the fault is about %q", name, faults[0].Setting)
		}
		if _, faults := loadAt(t, home, append([]string{variable + "=" + path}, goodClient...)...); faults != nil {
			t.Errorf("%s, named: %v", name, faults)
		}
	}
}

func TestOpenConfigFileWithSecret(t *testing.T) {
	home, path := homeWith(t, "")
	file := "clients: {demo: {issuer: 'https://acme.eu.auth0.com/', client_id: id, client_secret: " + canarySecret + "}}\n"
	write(t, path, file, 0o644)
	if _, faults := loadAt(t, home); !strings.Contains(faults.Error(), "open to everyone") {
		t.Error(faults)
	}
	write(t, path, file, 0o600)
	if _, faults := loadAt(t, home); faults != nil {
		t.Error(faults)
	}
}

// A user that can write the configuration can run commands as its owner, with a hook.
func TestConfigFileThatEverybodyCanWrite(t *testing.T) {
	home, path := homeWith(t, "")
	file := "clients: {demo: {issuer: 'https://acme.eu.auth0.com/', client_id: id, token_auth: none}}\n"
	write(t, path, file, 0o646)
	if _, faults := loadAt(t, home); !strings.Contains(faults.Error(), "can be written by everyone (mode 0646)") || !strings.Contains(faults.Error(), "chmod o-w "+path) {
		t.Error(faults)
	}
	for _, perm := range []os.FileMode{0o644, 0o664, 0o600} { // a group of one's own is usual
		write(t, path, file, perm)
		if _, faults := loadAt(t, home); faults != nil {
			t.Errorf("mode %#o: %v", perm, faults)
		}
	}
}

func TestVariablesOverrideFile(t *testing.T) {
	home, path := homeWith(t, "")
	secret := write(t, filepath.Join(home, "secret"), canarySecret+"\n", 0o600)
	key := write(t, filepath.Join(home, "key"), canaryKey+"\n", 0o600)
	write(t, path, `
clients:
  from-file:
    issuer: https://acme.eu.auth0.com/
    client_id: file
    client_secret: replaced
    scopes: [openid, offline_access]
    audience: https://api.example.com/
    login: headless
    token_auth: basic
    authorize_params: {connection: staff}
    leeway: 30s
    rotation: on
    refresh: {advisory: 10m, mandatory: 2m}
    upstreams: [https://API.example.com:443/v2/, http://localhost:8400/]
keys:
  ci: {key_file: `+key+`, clients: [env]}
`, 0o600)
	s, faults := loadAt(t, home, "TOKEND_CLIENTS=env", "TOKEND_CLIENT_ENV_ISSUER=https://other.eu.auth0.com/", "TOKEND_CLIENT_ENV_CLIENT_ID=env",
		"TOKEND_CLIENT_ENV_GRANT=client_credentials", "TOKEND_CLIENT_ENV_CLIENT_SECRET="+canarySecret,
		"TOKEND_CLIENT_FROM_FILE_CLIENT_ID=overridden", "TOKEND_CLIENT_FROM_FILE_CLIENT_SECRET_FILE="+secret,
		"TOKEND_CLIENT_FROM_FILE_SCOPES=openid profile,offline_access", "TOKEND_CLIENT_FROM_FILE_REFRESH_MANDATORY=3m",
		"ISSUER=https://not-ours.example/", "LISTEN=0.0.0.0:1", "AUDIENCE=not-ours")
	if faults != nil {
		t.Fatal(faults)
	}
	if len(s.Clients) != 2 || s.Clients[0].Name != "env" || s.Listen != "127.0.0.1:8484" {
		t.Fatalf("%d clients, listen %s", len(s.Clients), s.Listen)
	}
	if _, ok := s.Clients[0].Source.(flow.ClientCredentials); !ok || s.Clients[0].Login != "" || s.Clients[0].Audience != "" {
		t.Errorf("env: %+v", s.Clients[0])
	}
	c := s.Clients[1]
	source, _ := c.Source.(flow.AuthorizationCode)
	if c.ClientID != "overridden" || secretNow(t, c) != canarySecret || len(c.Scopes) != 3 || c.Audience != "https://api.example.com/" ||
		c.Login != "headless" || !source.Headless || source.Params.Get("connection") != "staff" || c.Auth != flow.AuthBasic ||
		c.Leeway != 30*time.Second || c.Rotation != flow.RotationOn || c.Advisory != 10*time.Minute || c.Mandatory != 3*time.Minute ||
		c.RedirectURL != "http://localhost:8484/callback" || !c.OwnRedirect ||
		fmt.Sprint(c.Upstreams) != "[https://api.example.com/v2/ http://localhost:8400/]" {
		t.Errorf("from-file: %+v", c)
	}
	if len(s.Keys) != 1 || s.Keys[0].Secret != canaryKey || s.Keys[0].Clients[0] != "env" {
		t.Errorf("keys: %+v", s.Keys)
	}
}

func TestCredentialsDirectory(t *testing.T) {
	home := t.TempDir()
	write(t, filepath.Join(home, "creds/TOKEND_CLIENT_DEMO_CLIENT_SECRET"), canarySecret, 0o400)
	write(t, filepath.Join(home, "creds/TOKEND_API_KEY"), canaryKey, 0o400)
	s := mustLoad(t, "", append(goodClient[:3:3], "CREDENTIALS_DIRECTORY="+filepath.Join(home, "creds"))...)
	if secretNow(t, s.Clients[0]) != canarySecret || s.APIKey != canaryKey {
		t.Error("the credentials were not read")
	}
}

func FuzzConfigFile(f *testing.F) {
	f.Add([]byte("clients:\n  demo:\n    issuer: x\n    refresh: {advisory: 1m}\nkeys: {ci: {clients: [demo]}}\n"))
	f.Add([]byte("clients: &a {<<: *a}\n"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Add([]byte("clients:\n  a:\n    scopes: !0000\n    b\n"))
	f.Add([]byte(goodFile + "    scopes: [a, b]\n    par: true\n    audience: 0x10\n    authorize_params: {prompt: login}\n    realm: |\n      two\n      lines\n    'login': \"x\\ty\"\n    leeway: ~\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := &loader{env: environ(t), fields: fieldsOf[clientSchema]()}
		c, complete := l.parseFile("tokend.yaml", b)
		if !complete || l.faults != nil {
			return
		}
		var library fileSchema // what the library's decoder reads
		if err := yaml.UnmarshalWithOptions(b, &library, yaml.AllowDuplicateMapKey()); err != nil || !reflect.DeepEqual(c, library) && fmt.Sprint(c) != fmt.Sprint(library) {
			t.Errorf("%q\nis %+v\nnot %+v, %v", b, c, library, err)
		}
	})
}
