package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/apikey"
	"example.com/tokend/internal/config"
	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/terminal"
)

const keyAddHelp = `Makes an API key and prints it, once: only its hash is kept, in api_keys_file. A running
service uses the key within a second, without a restart.

  tokend key add ci --clients demo --expires 720h --output ci.key

--output replaces a file that has an API key and nothing else, and no other file; that of
a valid key of another name stays, too. A key of the same name is replaced if it has
expired, so the command can be run again then.

The key may read tokens and states of its clients, and send proxied requests. With
--manage it may also log in and out, refresh and resume. The name is the caller in the
log and in the audit log.`

// keyFlags are what a new API key may do.
type keyFlags struct {
	clients, audiences []string
	manage             bool
	expires            string
	rate               int
	output             string
}

func (p *program) keyAdd() *cobra.Command {
	var f keyFlags
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Make an API key for a caller", Long: keyAddHelp, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.addKey(cmd.Context(), args[0], f) },
	}
	cmd.Flags().StringSliceVar(&f.clients, "clients", nil, `clients that it may use, "*" for all; required`)
	cmd.Flags().StringSliceVar(&f.audiences, "audiences", nil, "audiences that its tokens may be for; default: all")
	cmd.Flags().BoolVar(&f.manage, "manage", false, "it may also log in and out, refresh and resume")
	cmd.Flags().StringVar(&f.expires, "expires", "", "when it expires: a duration such as 720h, or a `time` such as 2026-01-31T00:00:00Z; default: never")
	cmd.Flags().StringVar(&f.output, "output", "", "write the key to a `file` that only its owner can read; default: print it")
	cmd.Flags().IntVar(&f.rate, "rate-limit", 0, "requests per second; default: caller_rate_limit")
	return cmd
}

func (p *program) addKey(ctx context.Context, name string, f keyFlags) error {
	s, err := storeSettings()
	if err != nil {
		return err
	}
	k := apikey.Key{Name: name, Clients: f.clients, Audiences: f.audiences, Access: apikey.Read, Rate: f.rate, Created: p.clock().UTC().Truncate(time.Second)}
	if f.manage {
		k.Access = apikey.Manage
	}
	if f.rate < 0 {
		return hintf(exitUsage, "requests per second, such as 10", "--rate-limit %d is negative", f.rate)
	}
	if k.Expires, err = p.expiry(f.expires); err != nil {
		return err
	}
	if err := s.checkKeyClients(ctx, f.clients); err != nil {
		return err
	}
	if slices.ContainsFunc(s.Keys, func(o config.Key) bool { return o.Name == name }) {
		return hintf(exitConfig, "use another name", "keys.%s of the configuration has that name", name)
	}
	write, err := p.newKeyFile(f.output, s.APIKeysFile, name)
	if err != nil {
		return err
	}
	key, hash, err := apikey.New(rand.Reader)
	if err != nil {
		return exitWith(exitUnavailable, err)
	}
	k.Hash = hash
	switch err := apikey.Add(s.APIKeysFile, k); {
	case errors.Is(err, apikey.ErrExists):
		return hintf(exitConfig, "use another name, or first tokend key revoke "+name, "there is an API key %q", name)
	case err != nil:
		return exitWith(exitConfig, err)
	}
	if err := write([]byte(key + "\n")); err != nil {
		// A key that its caller never gets must not block the name.
		return exitWith(exitConfig, errors.Join(err, apikey.Revoke(s.APIKeysFile, name)))
	}
	where := "is shown only now"
	if f.output != "" && f.output != "-" {
		where = "is only in " + f.output
	}
	p.tell("made the API key %s, which %s; %s has its hash\n", name, where, s.APIKeysFile)
	p.warnIfUnknown(ctx, key, s.APIKeysFile)
	return nil
}

// newKeyFile returns a function that writes an API key: to a file for its owner alone, or
// to stdout. A former key's file is replaced, as is an empty one; any other is refused, so
// that a wrong path destroys nothing. So is that of a key of another name that is valid:
// there is no other copy of it.
func (p *program) newKeyFile(path, keysFile, name string) (write func([]byte) error, err error) {
	if path == "" {
		path = "-"
	}
	fi, err := os.Lstat(path)
	if err != nil || !fi.Mode().IsRegular() {
		return p.newSecretFile(path)
	}
	b, err := durable.ReadOwn(path, maxKeyFile)
	if err != nil {
		return nil, exitWith(exitConfig, fmt.Errorf("--output: %w", err))
	}
	if former := strings.TrimSpace(string(b)); former != "" && !apikey.IsKey(former) {
		return nil, hintf(exitConfig, "name a new file", "--output: %s exists, and is not the file of an API key", path)
	}
	keys, err := apikey.Load(keysFile)
	if err != nil {
		return nil, exitWith(exitConfig, err)
	}
	for _, k := range keys {
		if k.Name != name && k.Hash == apikey.HashOf(strings.TrimSpace(string(b))) && !k.ExpiredAt(p.clock()) {
			return nil, hintf(exitConfig, "name a new file, or first tokend key revoke "+k.Name, "--output: %s has the API key %q, which is valid", path, k.Name)
		}
	}
	return func(b []byte) error {
		return cmp.Or(durable.Replace(path, 0o600, b), durable.SyncDir(filepath.Dir(path)))
	}, nil
}

// maxKeyFile is more than the file of an API key has.
const maxKeyFile = 1 << 10

// checkKeyClients refuses a key that would open nothing. The clients are those of the
// configuration here and of the service that commands use here.
func (s settings) checkKeyClients(ctx context.Context, clients []string) error {
	if len(clients) == 0 {
		return hintf(exitUsage, `name them, or all: --clients "*"`, "--clients is missing")
	}
	var known []string
	for _, c := range s.Clients {
		known = append(known, c.Name)
	}
	unknown := func(c string) bool { return c != apikey.AllClients && !slices.Contains(known, c) }
	if slices.ContainsFunc(clients, unknown) {
		known = append(known, servedClients(ctx)...)
	}
	for _, c := range clients {
		if unknown(c) {
			advice := "the clients are " + strings.Join(known, ", ")
			if len(known) == 0 {
				advice = "run it with the variables of the service, or with its TOKEND_CONFIG"
			}
			return hintf(exitNoClient, advice, "--clients: no client %q is configured", c)
		}
	}
	return nil
}

// expiry reads a time, or a duration from now; "" is never.
func (p *program) expiry(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	now := p.clock()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		d, derr := time.ParseDuration(text)
		if derr != nil {
			return at, hintf(exitUsage, "such as 720h or 2026-01-31T00:00:00Z", "--expires %q is neither a duration nor a time", text)
		}
		at = now.Add(d)
	}
	if !at.After(now) {
		return at, hintf(exitUsage, "name a time in the future", "--expires %q is over", text)
	}
	return at.UTC().Truncate(time.Second), nil
}

const keyListHelp = `Lists the API keys of callers: what each may do, and when it expires. Keys of the
configuration (keys, api_key_file) are there, too. No key is printed. The store keys are
listed by "tokend key".`

func (p *program) keyList() *cobra.Command {
	format := ""
	cmd := &cobra.Command{
		Use: "list", Short: "List the API keys of callers", Long: keyListHelp, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return p.listAPIKeys(format) },
	}
	tableOrJSON(cmd, &format)
	return cmd
}

// listedKey is an API key in a list.
type listedKey struct {
	Name      string    `json:"name"`
	Access    string    `json:"access"`
	Clients   []string  `json:"clients"`
	Audiences []string  `json:"audiences,omitempty"`
	Rate      int       `json:"rate_limit,omitempty"`
	Expires   time.Time `json:"expires,omitzero"`
	Expired   bool      `json:"expired,omitempty"`
	Source    string    `json:"source"` // the file
}

func (p *program) listAPIKeys(format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	s, err := storeSettings()
	if err != nil {
		return err
	}
	list := []listedKey{}
	if s.APIKey != "" {
		list = append(list, listedKey{Name: "main", Access: apikey.Manage, Clients: []string{apikey.AllClients}, Source: "api_key_file"})
	}
	for i, k := range slices.Concat(s.Keys, s.StoredKeys) {
		l := listedKey{Name: k.Name, Access: apikey.Manage, Clients: k.Clients, Audiences: k.Audiences, Rate: k.Rate, Expires: k.Expires, Source: "configuration"}
		if k.ReadOnly {
			l.Access = apikey.Read
		}
		if k.Clients == nil {
			l.Clients = []string{apikey.AllClients}
		}
		if i >= len(s.Keys) {
			l.Source = "api_keys_file"
		}
		l.Expired = !k.Expires.IsZero() && !p.clock().Before(k.Expires)
		list = append(list, l)
	}
	if format == "json" {
		return exitWith(exitUnavailable, p.printJSON(struct {
			Keys []listedKey `json:"api_keys"`
		}{list}))
	}
	lines := []string{fmt.Sprintf("%-20s  %-6s  %-20s  %-20s  %s", "API KEY", "ACCESS", "EXPIRES", "CLIENTS", "AUDIENCES")}
	for _, k := range list {
		expires := "never"
		switch {
		case k.Expired:
			expires = "expired"
		case !k.Expires.IsZero():
			expires = k.Expires.UTC().Format(time.RFC3339)
		}
		lines = append(lines, fmt.Sprintf("%-20s  %-6s  %-20s  %-20s  %s", k.Name, k.Access, expires, terminal.Printable(strings.Join(k.Clients, ",")),
			cmp.Or(terminal.Printable(strings.Join(k.Audiences, ",")), "all")))
	}
	p.tell("keys of tokend key add are in %s\n", s.APIKeysFile)
	return p.print(strings.Join(lines, "\n"))
}

func (p *program) keyRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME…", Short: "Revoke API keys", Args: cobra.MinimumNArgs(1), Aliases: []string{"remove"},
		Long: "Removes API keys that \"tokend key add\" has made: all of the named ones or none. A running\nservice refuses them within a second, and ends their streams of events and their proxied\nrequests, such as a WebSocket.",
		RunE: func(_ *cobra.Command, names []string) error { return p.revokeKeys(names) },
	}
}

func (p *program) revokeKeys(names []string) error {
	names = unique(names)
	s, err := storeSettings()
	if err != nil {
		return err
	}
	var unknown *apikey.UnknownError
	switch err := apikey.Revoke(s.APIKeysFile, names...); {
	case errors.As(err, &unknown):
		return hintf(exitConfig, s.otherKey(unknown.Name), "%s has no API key %q%s", s.APIKeysFile, unknown.Name, nothingElse(names))
	case err != nil:
		return exitWith(exitConfig, err)
	}
	for _, name := range names {
		if err := p.print("revoked the API key " + name); err != nil {
			return err
		}
	}
	return nil
}

// nothingElse says of several names that all or none are revoked.
func nothingElse(names []string) string {
	if len(names) > 1 {
		return "; none of the others was revoked"
	}
	return ""
}

// unique returns the names in their order, each once.
func unique(names []string) []string {
	var once []string
	for _, name := range names {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once
}

// otherKey says where a key is removed that is not in the file of API keys.
func (s settings) otherKey(name string) string {
	switch {
	case slices.ContainsFunc(s.Keys, func(k config.Key) bool { return k.Name == name }):
		return "it is in the configuration, keys." + name + ": remove it there"
	case name == "main" && s.APIKeyFile != "":
		return "it is the service's own, in " + s.APIKeyFile + ": remove the file, and restart the service, which makes a new one"
	case name == "main" && s.APIKey != "":
		return "it is the service's own, of TOKEND_API_KEY"
	}
	return "tokend key list shows the keys"
}
