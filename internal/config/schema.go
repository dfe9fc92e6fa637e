package config

import (
	"reflect"
	"slices"
	"strings"
)

// The schemas describe the configuration as it is written. docs/configuration.md and
// docs/tokend.schema.json are generated from them: a field's comment is its meaning,
// and its tags are these.
//
//	yaml      its name in the file; the variable has the same words in capitals, and
//	          envconfig derives it from the field's name (split_words)
//	kind      duration, size, number, URL or path: what the text is
//	fallback  the default
//	oneof     the values that it may have
//	with      of a client: the grants that it has an effect with, * for every grant
//	example   a value for the documentation
//	secret    "true" where "config show" masks the value

// environment are the variables of the service, with their prefix TOKEND_. All
// are strings: their faults are reported together, which envconfig cannot.
type environment struct {
	// The configuration file.
	Config string `yaml:"config" kind:"path" fallback:"$XDG_CONFIG_HOME/tokend/tokend.yaml" example:"/etc/tokend/tokend.yaml"`
	Service
	// The API key itself.
	APIKey string `yaml:"api_key" secret:"true" split_words:"true" example:"$(openssl rand -base64 32)"`
	// The keyset itself.
	StoreKey string `yaml:"store_key" secret:"true" split_words:"true" example:"$(cat keyset.json)"`
	// The password of the store's database itself.
	StorePassword string `yaml:"store_password" secret:"true" split_words:"true" example:"$(cat /run/secrets/db)"`
	// Clients that variables configure, in addition to those of the file.
	Clients []string `yaml:"clients" example:"demo,ci"`
	// Where commands find the service: http://HOST:PORT of this machine, https://HOST:PORT, or unix:/PATH. Without it, by the default socket and then the listener.
	Addr string `yaml:"addr" fallback:"" example:"unix:/run/tokend/tokend.sock"`
}

// Service are the settings of the service itself. A change needs a restart.
type Service struct {
	// The TCP address of the API, on loopback; 127.0.0.1 adds the same port of [::1]. "off": none.
	Listen string `yaml:"listen" fallback:"127.0.0.1:8484" example:"127.0.0.1:9000"`
	// The unix socket of the API, in a directory that only this user can open. "off": none.
	Socket string `yaml:"socket" kind:"path" fallback:"$XDG_RUNTIME_DIR/tokend/tokend.sock" example:"/run/tokend/tokend.sock"`
	// The address of the API over TLS, for callers of other machines; they need an API key or a client certificate. Without it only this machine can connect.
	TLSListen string `yaml:"tls_listen" split_words:"true" example:"0.0.0.0:8443"`
	// The certificate chain of tls_listen, in PEM. The file is read again when it changes.
	TLSCertFile string `yaml:"tls_cert_file" split_words:"true" kind:"path" example:"/run/tls/tls.crt"`
	// The private key of the certificate, in PEM. The file is read again when it changes.
	TLSKeyFile string `yaml:"tls_key_file" split_words:"true" kind:"path" example:"/run/tls/tls.key"`
	// The authorities of client certificates of tls_listen, in PEM: a caller with one needs no API key. The file is read again when it changes.
	TLSClientCAFile string `yaml:"tls_client_ca_file" split_words:"true" kind:"path" example:"/run/tls/clients.crt"`
	// The store that keeps the grants: a file, or a PostgreSQL database that several machines share (postgres://user@host/database).
	Store string `yaml:"store" fallback:"sqlite:$XDG_STATE_HOME/tokend/tokend.db" example:"sqlite:/var/lib/tokend/tokend.db"`
	// The file of the keyset that seals the store: a Tink keyset in JSON. It is created when it is absent and the store is new.
	StoreKeyFile string `yaml:"store_key_file" split_words:"true" kind:"path" fallback:"keyset.json next to the database, or in $XDG_STATE_HOME/tokend" example:"/var/lib/tokend/keyset.json"`
	// The file of the password of the store's PostgreSQL database; without it, what the URL or PGPASSFILE has.
	StorePasswordFile string `yaml:"store_password_file" split_words:"true" kind:"path" example:"/run/secrets/database"`
	// Directory for grants that the store cannot save; best on another disk.
	SpillDir string `yaml:"spill_dir" split_words:"true" kind:"path" fallback:"next to the database, or in $XDG_STATE_HOME/tokend" example:"/var/spool/tokend"`
	// The file of the API key that opens all clients. It is created when it is absent.
	APIKeyFile string `yaml:"api_key_file" split_words:"true" kind:"path" fallback:"$XDG_STATE_HOME/tokend/api.key" example:"/etc/tokend/api.key"`
	// The file of the API keys that tokend key add makes, with their hashes. It is read again when it changes.
	APIKeysFile string `yaml:"api_keys_file" split_words:"true" kind:"path" fallback:"api-keys.json next to the database, or in $XDG_STATE_HOME/tokend" example:"/var/lib/tokend/api-keys.json"`
	// How many requests in a second each caller may send, if it has no rate_limit of its own; 0: any number. A change needs a restart.
	CallerRateLimit string `yaml:"caller_rate_limit" split_words:"true" kind:"number" fallback:"0" example:"\"100\""`
	// The file of the audit log: who got which token, in JSON lines. It is created when it is absent. Without it there is no audit log.
	AuditFile string `yaml:"audit_file" split_words:"true" kind:"path" example:"/var/lib/tokend/audit.jsonl"`
	// The size from which the audit file is renamed, and a new one begun.
	AuditMaxSize string `yaml:"audit_max_size" split_words:"true" kind:"size" fallback:"32MiB" example:"8MiB"`
	// How many older audit files are kept: audit_file.1 is the newest of them.
	AuditKeep string `yaml:"audit_keep" split_words:"true" kind:"number" fallback:"4" example:"\"9\""`
	// The lowest level that is logged.
	LogLevel string `yaml:"log_level" split_words:"true" fallback:"info" oneof:"debug info warn error" example:"debug"`
	// The format of the log.
	LogFormat string `yaml:"log_format" split_words:"true" fallback:"text" oneof:"text json" example:"json"`
}

// fileSchema is the configuration file.
type fileSchema struct {
	// The clients by name: a-z, 0-9, - and _, at most 63.
	Clients map[string]clientSchema `yaml:"clients"`
	// API keys by name that open some clients only.
	Keys map[string]keySchema `yaml:"keys"`
	// Callers by name that need no API key: other users on the unix socket, holders of client certificates, and holders of tokens of an OpenID Connect issuer.
	Callers map[string]callerSchema `yaml:"callers"`
	// Files that a client's token is kept in.
	Files []tokenFileSchema `yaml:"files"`
	// What is done about events. A change needs a restart.
	OnEvent onEventSchema `yaml:"on_event"`
	Service `yaml:",inline"`
}

// keySchema is an API key that opens some clients only.
type keySchema struct {
	// The key itself, of 16 to 512 characters; key_file keeps it out of the configuration.
	Key string `yaml:"key" secret:"true" example:"a-key-of-32-characters-or-longer"`
	// The file of the key.
	KeyFile string `yaml:"key_file" kind:"path" example:"/etc/tokend/ci.key"`
	// The clients that the key opens.
	Clients []string `yaml:"clients" example:"[ci]"`
	// The audiences that its tokens may be for.
	Audiences []string `yaml:"audiences" fallback:"all" example:"[https://api.example.com/]"`
	// Whether the key may also log its clients in and out, refresh and resume them.
	Access string `yaml:"access" fallback:"manage" oneof:"read manage" example:"read"`
	// How many requests in a second the key may send; 0: caller_rate_limit.
	RateLimit string `yaml:"rate_limit" kind:"number" fallback:"0" example:"\"10\""`
}

// callerSchema is a caller without an API key.
type callerSchema struct {
	// Users whose processes are this caller on the unix socket.
	UIDs []string `yaml:"uids" example:"[\"1001\"]"`
	// Groups whose processes are this caller on the unix socket: the group that a process runs with, not others of its user.
	GIDs []string `yaml:"gids" example:"[\"1002\"]"`
	// Names in client certificates that tls_client_ca_file has verified: dns:HOST, uri:URI or email:ADDRESS, of the subject alternative name.
	Certificates []string `yaml:"certificates" example:"[\"dns:build.example.com\"]"`
	// Tokens of OpenID Connect issuers whose holder is this caller, such as those of a pipeline's jobs.
	OIDC []oidcSchema `yaml:"oidc" example:"[{issuer: \"https://token.actions.githubusercontent.com\", audience: tokend.example.com, subject: \"repo:acme/app:ref:refs/heads/main\"}]"`
	// The clients that the caller may use.
	Clients []string `yaml:"clients" example:"[ci]"`
	// The audiences that its tokens may be for.
	Audiences []string `yaml:"audiences" fallback:"all" example:"[https://api.example.com/]"`
	// Whether the caller may also log its clients in and out, refresh and resume them.
	Access string `yaml:"access" fallback:"read" oneof:"read manage" example:"manage"`
	// How many requests in a second the caller may send; 0: caller_rate_limit.
	RateLimit string `yaml:"rate_limit" kind:"number" fallback:"0" example:"\"10\""`
}

// oidcSchema is which tokens of an issuer are a caller's.
type oidcSchema struct {
	// The iss of the tokens, exactly, slash included. Its keys are found by discovery.
	Issuer string `yaml:"issuer" kind:"URL" example:"https://token.actions.githubusercontent.com"`
	// A name for this service that the tokens have in their aud, so that tokens for other services are refused.
	Audience string `yaml:"audience" example:"tokend.example.com"`
	// The sub of the tokens; * is any text without a colon, ** any text.
	Subject string `yaml:"subject" example:"\"repo:acme/app:ref:refs/heads/main\""`
	// The authorities that the issuer's certificate is verified with, in PEM.
	CAFile string `yaml:"ca_file" kind:"path" fallback:"those of the system" example:"/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"`
}

// onEventSchema is what is done about events.
type onEventSchema struct {
	// A command that is run for each event, as a list of words. It gets the event as JSON on its standard input.
	Command []string `yaml:"command" example:"[notify-team, tokend]"`
	// A webhook in place of a command: it gets each event as a signed POST.
	URL string `yaml:"url" kind:"URL" example:"https://hooks.example.com/tokend"`
	// The file of the key that signs the requests to the webhook.
	KeyFile string `yaml:"key_file" kind:"path" example:"/etc/tokend/webhook.key"`
	// The types of events to deliver.
	Types []string `yaml:"types" fallback:"all but refreshed" oneof:"refreshed degraded refresh_failing login_required resumed grant_ending" example:"[login_required, grant_ending]"`
	// How long before the end of a grant its event comes, at most; of a short-lived grant, a quarter of its life.
	GrantEnding string `yaml:"grant_ending" kind:"duration" fallback:"168h" example:"336h"`
}

// tokenFileSchema is one of "files" in the configuration.
type tokenFileSchema struct {
	// The client whose token it is.
	Client string `yaml:"client" example:"ci"`
	// The absolute path of the file, in a directory that other users cannot write to.
	Path string `yaml:"path" kind:"path" example:"/run/tokend/ci/token"`
	// The format of its content.
	Format string `yaml:"format" fallback:"text" oneof:"text json header env" example:"header"`
	// Its permissions, octal as for chmod, in quotes; none for others.
	Mode string `yaml:"mode" fallback:"0600" example:"\"0640\""`
	// How long its token is always valid, if the provider's tokens live that long.
	MinValidity string `yaml:"min_validity" kind:"duration" example:"10m"`
	// A command that is run after each change, as a list of words. It does not get the token.
	Hook []string `yaml:"hook" example:"[systemctl, reload, app]"`
}

// clientSchema is a client as the file and the environment write it: TOKEND_CLIENT_NAME_
// and the field's name in capitals.
type clientSchema struct {
	// The provider's issuer, exactly as its metadata has it, slash included.
	Issuer string `yaml:"issuer" split_words:"true" with:"*" kind:"URL" example:"https://acme.eu.auth0.com/"`
	// The client's id at the provider.
	ClientID string `yaml:"client_id" split_words:"true" with:"*" example:"AbCdEf123456"`
	// The client's secret; client_secret_file keeps it out of the configuration.
	ClientSecret string `yaml:"client_secret" secret:"true" split_words:"true" with:"*" example:"the-secret"`
	// The file of the client's secret, read at each use.
	ClientSecretFile string `yaml:"client_secret_file" split_words:"true" with:"*" kind:"path" example:"/run/secrets/demo"`
	// How the client gets its grant.
	Grant string `yaml:"grant" split_words:"true" with:"*" fallback:"authorization_code; device_code with login: device" oneof:"authorization_code refresh_token client_credentials device_code password token_exchange" example:"client_credentials"`
	// The refresh token to start from; refresh_token_file keeps it out of the configuration.
	RefreshToken string `yaml:"refresh_token" secret:"true" split_words:"true" with:"refresh_token" example:"the-refresh-token"`
	// The file of the refresh token to start from.
	RefreshTokenFile string `yaml:"refresh_token_file" split_words:"true" with:"refresh_token" kind:"path" example:"/run/secrets/seed"`
	// Where the provider sends the browser back to: /callback of the listener, or /callback/NAME, which only this client has.
	RedirectURI string `yaml:"redirect_uri" split_words:"true" with:"authorization_code" kind:"URL" fallback:"http://localhost:PORT/callback, with the port of listen" example:"http://localhost:8484/callback"`
	// The scopes to ask for.
	Scopes []string `yaml:"scopes" split_words:"true" with:"*" fallback:"openid profile offline_access where a person logs in, else none" example:"[openid, profile, offline_access]"`
	// The API that the tokens are for.
	Audience string `yaml:"audience" split_words:"true" with:"*" example:"https://api.example.com/"`
	// The APIs that the tokens are for, at a provider that takes resource parameters (RFC 8707).
	Resources []string `yaml:"resources" split_words:"true" with:"*" example:"[https://api.example.com/]"`
	// How a person logs in. headless follows the provider's redirects without one.
	Login string `yaml:"login" split_words:"true" with:"authorization_code device_code" fallback:"browser; device with grant: device_code" oneof:"headless browser paste device" example:"headless"`
	// How the client authenticates at the provider.
	TokenAuth string `yaml:"token_auth" split_words:"true" with:"*" fallback:"post with a secret, else none" oneof:"post basic private_key_jwt none" example:"basic"`
	// Further parameters of the authorization request.
	AuthorizeParams map[string]string `yaml:"authorize_params" split_words:"true" with:"authorization_code" example:"{connection: staff}"`
	// The rotation overlap that is set at the provider; 0: none, or unknown.
	Leeway string `yaml:"leeway" split_words:"true" with:"authorization_code refresh_token device_code password token_exchange" kind:"duration" fallback:"0" example:"30s"`
	// Whether the provider rotates the client's refresh tokens.
	Rotation string `yaml:"rotation" split_words:"true" with:"authorization_code refresh_token device_code password token_exchange" fallback:"detected at the first refresh" oneof:"on off" example:"\"on\""`
	// When a token is refreshed.
	Refresh refreshSchema `yaml:"refresh" split_words:"true" with:"*"`
	// How long an access token lives when the provider does not say.
	Lifetime string `yaml:"lifetime" split_words:"true" with:"*" kind:"duration" fallback:"5m" example:"1h"`
	// How long a refresh token lives without use, as set at the provider. tokend uses it before.
	Idle string `yaml:"idle" split_words:"true" with:"authorization_code refresh_token device_code password token_exchange" kind:"duration" fallback:"720h" example:"360h"`
	// How long a grant lives after its login, as set at the provider; 0: forever, or unknown. Status and doctor say when a login is due.
	Absolute string `yaml:"absolute" split_words:"true" with:"authorization_code refresh_token device_code password token_exchange" kind:"duration" fallback:"0" example:"2160h"`
	// Hosts that credential helpers may give the token to: [user@]host[:port].
	Hosts []string `yaml:"hosts" split_words:"true" with:"*" example:"[git.example.com]"`
	// URLs that the proxy may send the token to.
	Upstreams []string `yaml:"upstreams" split_words:"true" with:"*" example:"[https://api.example.com/]"`

	// The authorization endpoint, in place of the provider's metadata.
	AuthorizeURL string `yaml:"authorize_url" split_words:"true" with:"authorization_code" kind:"URL" example:"https://login.example.com/authorize"`
	// The token endpoint, in place of the provider's metadata.
	TokenURL string `yaml:"token_url" split_words:"true" with:"*" kind:"URL" example:"https://login.example.com/token"`
	// The device authorization endpoint, in place of the provider's metadata.
	DeviceURL string `yaml:"device_url" split_words:"true" with:"device_code" kind:"URL" example:"https://login.example.com/device"`
	// The provider's keys, in place of its metadata.
	JwksURL string `yaml:"jwks_url" split_words:"true" with:"authorization_code refresh_token device_code password token_exchange" kind:"URL" example:"https://login.example.com/jwks"`
	// The revocation endpoint, in place of the provider's metadata.
	RevocationURL string `yaml:"revocation_url" split_words:"true" with:"authorization_code refresh_token device_code password token_exchange" kind:"URL" example:"https://login.example.com/revoke"`
	// Further parameters of the requests for a grant.
	TokenParams map[string]string `yaml:"token_params" secret:"true" split_words:"true" with:"client_credentials password token_exchange" example:"{organization: org_1}"`
	// Push the authorization request (RFC 9126).
	PAR bool `yaml:"par" split_words:"true" with:"authorization_code" fallback:"false" example:"true"`

	// The file of a client assertion that another program signs, read at each use.
	ClientAssertionFile string `yaml:"client_assertion_file" split_words:"true" with:"*" kind:"path" example:"/var/run/secrets/tokens/tenant"`
	// The private key of token_auth: private_key_jwt, in PEM; private_key_file keeps it out of the configuration.
	PrivateKey string `yaml:"private_key" secret:"true" split_words:"true" with:"*" example:"-----BEGIN PRIVATE KEY-----…"`
	// The file of the private key.
	PrivateKeyFile string `yaml:"private_key_file" split_words:"true" with:"*" kind:"path" example:"/run/secrets/key.pem"`
	// The key's id at the provider.
	PrivateKeyID string `yaml:"private_key_id" split_words:"true" with:"*" example:"key-1"`
	// The algorithm that it signs with: RS256, RS384 or PS256; with an EC key, ES256 or ES384 by the curve.
	PrivateKeyAlg string `yaml:"private_key_alg" split_words:"true" with:"*" fallback:"RS256, ES256 or ES384" example:"PS256"`
	// The file of the token that is exchanged, read at each exchange.
	SubjectTokenFile string `yaml:"subject_token_file" split_words:"true" with:"token_exchange" kind:"path" example:"/var/run/secrets/tokens/tenant"`
	// The type of the token that is exchanged, a URI.
	SubjectTokenType string `yaml:"subject_token_type" split_words:"true" with:"token_exchange" example:"urn:acme:ci"`
	// Where the token that is exchanged comes from. github-actions asks the runner of the job.
	SubjectTokenSource string `yaml:"subject_token_source" split_words:"true" with:"token_exchange" fallback:"file" oneof:"file github-actions" example:"github-actions"`
	// The audience of the token that the runner is asked for.
	SubjectTokenAudience string `yaml:"subject_token_audience" split_words:"true" with:"token_exchange" example:"https://acme.eu.auth0.com/"`
	// The user that logs in.
	Username string `yaml:"username" split_words:"true" with:"password" example:"agent@example.com"`
	// The user's password; password_file keeps it out of the configuration.
	Password string `yaml:"password" secret:"true" split_words:"true" with:"password" example:"the-password"`
	// The file of the user's password.
	PasswordFile string `yaml:"password_file" split_words:"true" with:"password" kind:"path" example:"/run/secrets/agent"`
	// The connection of the user (Auth0).
	Realm string `yaml:"realm" split_words:"true" with:"password" example:"staff"`

	// Allow plain HTTP to a provider and upstreams that are not on this machine. Then anyone on the network can read secrets and tokens.
	InsecureAllowHTTP bool `yaml:"insecure_allow_http" split_words:"true" with:"*" fallback:"false" example:"true"`

	// Variables that tokend exec puts the token in.
	Env []string `yaml:"env" split_words:"true" with:"*" fallback:"NAME_ACCESS_TOKEN, with the client's name in capitals" example:"[AUTH0_API_TOKEN]"`
	// A file that tokend keeps the token in; files has more settings.
	File string `yaml:"file" split_words:"true" with:"*" kind:"path" example:"/run/tokend/demo/token"`
	// Answer GitHub Actions' form of a request for an ID token as well.
	ActionsIDToken bool `yaml:"actions_id_token" split_words:"true" with:"*" fallback:"false" example:"true"`
}

// refreshSchema is when a token is refreshed.
type refreshSchema struct {
	// How long before its end a token is refreshed in the background.
	Advisory string `yaml:"advisory" split_words:"true" kind:"duration" fallback:"15m" example:"10m"`
	// How long before its end callers wait for another token.
	Mandatory string `yaml:"mandatory" split_words:"true" kind:"duration" fallback:"1m" example:"2m"`
}

// field is a setting, as its tags describe it.
type field struct {
	name  string   // in the file
	with  []string // of a client: the grants that it has an effect with; nil: all
	oneOf []string // the values that it may have; nil: any
	index int
}

// fieldsOf returns the settings of a schema, in its order.
func fieldsOf[T any]() []field {
	t := reflect.TypeFor[T]()
	var list []field
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		f := field{name: tag.Get("yaml"), oneOf: strings.Fields(tag.Get("oneof")), index: i}
		if with := tag.Get("with"); with != "*" {
			f.with = strings.Fields(with)
		}
		list = append(list, f)
	}
	return list
}

// choices returns the values that a setting may have.
func choices(fields []field, name string) []string {
	return fields[slices.IndexFunc(fields, func(f field) bool { return f.name == name })].oneOf
}

// fallback returns the schema's default of a setting.
func fallback[T any](name string) string {
	t := reflect.TypeFor[T]()
	for i := range t.NumField() {
		if tag := t.Field(i).Tag; tag.Get("yaml") == name {
			return tag.Get("fallback")
		}
	}
	return ""
}
