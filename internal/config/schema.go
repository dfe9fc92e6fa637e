package config

import (
	"reflect"
	"slices"
	"strings"
)

// The schemas are the configuration as it is written. The yaml tag names a setting
// in the file; its variable has the same words in capitals, and envconfig derives
// it from the field's name. oneof lists the values that a setting may have, with
// the grants of a client that it has an effect with, * for every grant.

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

// fileSchema is the configuration file.
type fileSchema struct {
	Clients map[string]clientSchema `yaml:"clients"`
	Keys    map[string]keySchema    `yaml:"keys"`
	Files   []tokenFileSchema       `yaml:"files"`
}

// keySchema is an API key that opens some clients only.
type keySchema struct {
	Key     string   `yaml:"key"`
	KeyFile string   `yaml:"key_file"`
	Clients []string `yaml:"clients"`
}

// tokenFileSchema is one of "files" in the configuration.
type tokenFileSchema struct {
	Client      string   `yaml:"client"`
	Path        string   `yaml:"path"`
	Format      string   `yaml:"format"`
	Mode        string   `yaml:"mode"` // octal, as for chmod
	MinValidity string   `yaml:"min_validity"`
	Hook        []string `yaml:"hook"`
}

// clientSchema is a client as file and environment write it: TOKEND_CLIENT_NAME_
// and the field's name in capitals. Durations are strings such as "30s".
type clientSchema struct {
	Issuer           string            `yaml:"issuer" split_words:"true" with:"*"`
	ClientID         string            `yaml:"client_id" split_words:"true" with:"*"`
	ClientSecret     string            `yaml:"client_secret" split_words:"true" with:"*"`
	ClientSecretFile string            `yaml:"client_secret_file" split_words:"true" with:"*"`
	Grant            string            `yaml:"grant" split_words:"true" with:"*" oneof:"authorization_code refresh_token client_credentials device_code password token_exchange"`
	RefreshToken     string            `yaml:"refresh_token" split_words:"true" with:"refresh_token"`
	RefreshTokenFile string            `yaml:"refresh_token_file" split_words:"true" with:"refresh_token"`
	RedirectURI      string            `yaml:"redirect_uri" split_words:"true" with:"authorization_code"`
	Scopes           []string          `yaml:"scopes" split_words:"true" with:"*"`
	Audience         string            `yaml:"audience" split_words:"true" with:"*"`
	Login            string            `yaml:"login" split_words:"true" with:"authorization_code device_code" oneof:"headless browser paste device"`
	TokenAuth        string            `yaml:"token_auth" split_words:"true" with:"*" oneof:"post basic private_key_jwt none"`
	AuthorizeParams  map[string]string `yaml:"authorize_params" split_words:"true" with:"authorization_code"`
	Leeway           string            `yaml:"leeway" split_words:"true" with:"authorization_code refresh_token device_code password token_exchange"`
	Rotation         string            `yaml:"rotation" split_words:"true" with:"authorization_code refresh_token device_code password token_exchange" oneof:"on off"`
	Refresh          refreshSchema     `yaml:"refresh" split_words:"true" with:"*"`
	Hosts            []string          `yaml:"hosts" split_words:"true" with:"*"`
	Upstreams        []string          `yaml:"upstreams" split_words:"true" with:"*"`

	AuthorizeURL  string            `yaml:"authorize_url" split_words:"true" with:"authorization_code"`
	TokenURL      string            `yaml:"token_url" split_words:"true" with:"*"`
	DeviceURL     string            `yaml:"device_url" split_words:"true" with:"device_code"`
	JwksURL       string            `yaml:"jwks_url" split_words:"true" with:"authorization_code refresh_token device_code password token_exchange"`
	RevocationURL string            `yaml:"revocation_url" split_words:"true" with:"authorization_code refresh_token device_code password token_exchange"`
	TokenParams   map[string]string `yaml:"token_params" split_words:"true" with:"client_credentials password token_exchange"`
	PAR           bool              `yaml:"par" split_words:"true" with:"authorization_code"`

	ClientAssertionFile  string `yaml:"client_assertion_file" split_words:"true" with:"*"`
	PrivateKey           string `yaml:"private_key" split_words:"true" with:"*"`
	PrivateKeyFile       string `yaml:"private_key_file" split_words:"true" with:"*"`
	PrivateKeyID         string `yaml:"private_key_id" split_words:"true" with:"*"`
	PrivateKeyAlg        string `yaml:"private_key_alg" split_words:"true" with:"*"`
	SubjectTokenFile     string `yaml:"subject_token_file" split_words:"true" with:"token_exchange"`
	SubjectTokenType     string `yaml:"subject_token_type" split_words:"true" with:"token_exchange"`
	SubjectTokenSource   string `yaml:"subject_token_source" split_words:"true" with:"token_exchange" oneof:"file github-actions"`
	SubjectTokenAudience string `yaml:"subject_token_audience" split_words:"true" with:"token_exchange"`
	Username             string `yaml:"username" split_words:"true" with:"password"`
	Password             string `yaml:"password" split_words:"true" with:"password"`
	PasswordFile         string `yaml:"password_file" split_words:"true" with:"password"`
	Realm                string `yaml:"realm" split_words:"true" with:"password"`

	InsecureAllowHTTP bool `yaml:"insecure_allow_http" split_words:"true" with:"*"`

	Env            []string `yaml:"env" split_words:"true" with:"*"`
	File           string   `yaml:"file" split_words:"true" with:"*"`
	ActionsIDToken bool     `yaml:"actions_id_token" split_words:"true" with:"*"`
}

// refreshSchema is when a token is refreshed.
type refreshSchema struct {
	Advisory  string `yaml:"advisory" split_words:"true"`
	Mandatory string `yaml:"mandatory" split_words:"true"`
}

// field is a setting of a client, as its tags describe it.
type field struct {
	name  string   // in the file
	with  []string // the grants that it has an effect with; nil: every one
	oneOf []string // the values that it may have; nil: any
}

// clientFields are the settings of a client, in the order of clientSchema.
func clientFields() []field {
	t := reflect.TypeFor[clientSchema]()
	list := make([]field, t.NumField())
	for i := range list {
		tag := t.Field(i).Tag
		list[i] = field{name: tag.Get("yaml"), oneOf: strings.Fields(tag.Get("oneof"))}
		if with := tag.Get("with"); with != "*" {
			list[i].with = strings.Fields(with)
		}
	}
	return list
}

// fieldOf returns a setting of a client, which exists.
func (l *loader) fieldOf(name string) field {
	return l.fields[slices.IndexFunc(l.fields, func(f field) bool { return f.name == name })]
}
