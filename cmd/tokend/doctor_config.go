package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/pkg/flow"
)

// longestSocket is what fits every system's socket address: macOS has 104
// bytes, one of them the end.
const longestSocket = 103

// checkSettings has all faults that "config check" has, one finding each.
func (d *doctor) checkSettings(context.Context) []flow.Finding {
	const check = "settings"
	if len(d.faults) == 0 {
		return good(check, "clients "+strings.Join(namesOf(d.settings.Clients), ", "))
	}
	var found []flow.Finding
	for _, f := range d.faults {
		found = append(found, bad(check, flow.ClassConfig, oneLine(f.Message()), oneLine(f.Hint))...)
	}
	if d.remote != "" {
		return warn(check, "no client is configured here; the service at "+d.remote+" has a configuration of its own", "run tokend doctor with the service's variables, as its user")
	}
	return found
}

// checkAPIKey tells where callers get their key; its faults are the settings'.
func (d *doctor) checkAPIKey(context.Context) []flow.Finding {
	const check = "api key"
	switch s := d.settings; {
	case s.Listen == config.Off:
		return skip(check, "there is no TCP listener; the socket needs none")
	case s.APIKey != "":
		return good(check, "there is one")
	case d.faults.About("api_key"):
		return skip(check, "its setting is wrong")
	case s.APIKeyFile == "":
		return warn(check, "its file has no default place", "set TOKEND_API_KEY or TOKEND_API_KEY_FILE")
	default:
		return good(check, "tokend serve makes one at its first start: "+s.APIKeyFile)
	}
}

// checkSocketPath looks for what would keep tokend serve from its socket.
func (d *doctor) checkSocketPath(context.Context) []flow.Finding {
	const check = "socket path"
	path := d.settings.Socket
	if path == config.Off || path == "" {
		return skip(check, "there is no socket")
	}
	dir := filepath.Dir(path)
	if len(path) > longestSocket {
		return bad(check, flow.ClassConfig, fmt.Sprintf("%s has %d bytes, and a socket's path at most %d", path, len(path), longestSocket), "set TOKEND_SOCKET to a shorter path")
	}
	if fi, err := os.Stat(dir); err == nil {
		if err := durable.CheckDir(dir, fi, durable.Private, "set TOKEND_SOCKET to a path in a directory of its own"); err != nil {
			return bad(check, flow.ClassConfig, "the socket's directory "+err.Error(), hint.Of(err))
		}
	}
	fi, err := os.Lstat(path)
	if err == nil && fi.Mode().Type() != fs.ModeSocket {
		return bad(check, flow.ClassConfig, path+" is there and is not a socket", "set TOKEND_SOCKET to another path")
	}
	if err == nil && fi.Mode().Perm()&0o077 != 0 {
		return bad(check, flow.ClassConfig, fmt.Sprintf("socket %s is open to others (mode %#o)", path, fi.Mode().Perm()), "chmod 600 "+path)
	}
	return good(check, path)
}

// checkStore opens the store with its keyset to read alone.
func (d *doctor) checkStore(ctx context.Context) []flow.Finding {
	const check = "store"
	s := d.settings
	if d.faults.About("store", "store_key") {
		return skip(check, "its setting is wrong")
	}
	var keys *seal.Keyset
	if s.Keyset != "" {
		var err error
		if keys, err = seal.Parse(s.Keyset.Reveal()); err != nil {
			return bad("keyset", flow.ClassConfig, err.Error(), "put back the keyset that the store was made with")
		}
	}
	made, err := store.Check(ctx, s.Store, store.Options{Keys: keys, SpillDir: s.SpillDir}, s.KeysetFile)
	switch {
	case errors.Is(err, flow.ErrCorrupt):
		return badError(check, flow.ClassStoreCorrupt, err)
	case err != nil:
		return badError(check, flow.ClassConfig, err)
	case !made:
		return good(check, "tokend serve makes it at its first start: "+s.Store)
	}
	return good(check, s.Store+" opens with its keyset")
}

// checkWritable asks the system about the store's directory, and writes nothing.
func (d *doctor) checkWritable(context.Context) []flow.Finding {
	const check = "directory"
	dir, err := store.Dir(d.settings.Store)
	if err != nil || dir == "" {
		return skip(check, "the store has none")
	}
	there := existing(dir)
	if err := d.machine.writable(there); err != nil {
		return bad(check, flow.ClassConfig, fmt.Sprintf("state directory %s not writable: %v", there, err), "make it writable for the user that runs tokend serve, or set TOKEND_STORE to another")
	}
	return good(check, there+" can be written")
}

// existing is dir, or the first above it that is there.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// checkOwners wants what the service writes to belong to who runs this.
func (d *doctor) checkOwners(context.Context) []flow.Finding {
	const check = "owner"
	var paths []string
	if dir, err := store.Dir(d.settings.Store); err == nil && dir != "" {
		paths = append(paths, dir, strings.TrimPrefix(strings.TrimPrefix(d.settings.Store, "sqlite:"), "//"))
	}
	if s := d.settings.Socket; s != config.Off && s != "" {
		paths = append(paths, filepath.Dir(s), s)
	}
	for _, path := range paths {
		fi, err := os.Lstat(path)
		if err != nil {
			continue
		}
		owner, known := d.machine.owner(fi)
		switch text := fmt.Sprintf("%s belongs to user %d, and this runs as user %d", path, owner, d.machine.uid); {
		case !known || owner == d.machine.uid:
		case d.machine.uid == 0 && !fi.IsDir():
			return warn(check, text, "run tokend as the user that its files belong to, or what it makes will be root's")
		default:
			return bad(check, flow.ClassConfig, text, fmt.Sprintf("run tokend as user %d, or give the files to user %d", owner, d.machine.uid))
		}
	}
	return good(check, fmt.Sprintf("user %d", d.machine.uid))
}

// checkMixUp looks for clients of different issuers on one redirect URI whose
// providers do not name themselves in the callback: a code of one may then be
// taken for the other's (RFC 9700 section 4.4).
func (d *doctor) checkMixUp(ctx context.Context) []flow.Finding {
	const check = "mix-up"
	byCallback, issuers := map[string][]config.Client{}, map[string]bool{}
	for _, c := range d.settings.Clients {
		if _, code := c.Source.(flow.AuthorizationCode); code {
			byCallback[c.RedirectURL] = append(byCallback[c.RedirectURL], c)
			issuers[c.Issuer] = true
		}
	}
	switch {
	case len(issuers) < 2:
		return nil
	case d.offline:
		return skip(check, "the providers are not asked: --offline")
	}
	var found []flow.Finding
	for callback, clients := range byCallback {
		var unnamed []config.Client
		for _, c := range clients {
			if !namesIssuer(ctx, c) {
				unnamed = append(unnamed, c)
			}
		}
		one, other := mixed(unnamed, clients)
		if one == "" {
			continue
		}
		found = append(found, warn(check,
			fmt.Sprintf("clients %s and %s have different issuers and the same redirect_uri %s, and callbacks for %s do not name their issuer", one, other, callback, one),
			"set redirect_uri of one of them to another address of tokend, such as http://127.0.0.1:8484/callback")...)
	}
	if found == nil {
		return good(check, "a callback tells the issuers apart")
	}
	return found
}

// mixed returns the first client that is not named in its callbacks, and one of
// another issuer.
func mixed(unnamed, clients []config.Client) (one, other string) {
	for _, u := range unnamed {
		for _, c := range clients {
			if c.Issuer != u.Issuer {
				return u.Name, c.Name
			}
		}
	}
	return "", ""
}

// namesIssuer reports whether the callbacks of a client name its issuer. A
// provider that cannot be asked is reported by other checks.
func namesIssuer(ctx context.Context, c config.Client) bool {
	client, err := flow.New(c.Config)
	if err != nil {
		return true
	}
	defer func() { _ = client.Close() }() // it has no error
	named, err := client.NamesIssuer(ctx)
	return named || err != nil
}
