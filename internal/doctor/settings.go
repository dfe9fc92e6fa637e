package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// longestSocket fits the socket address of every system: macOS has 104 bytes, the last
// one a zero.
const longestSocket = 103

const checkDirectory = "directory"

// checkSettings reports what "tokend config check" does, one finding each.
func (x *examination) checkSettings(context.Context) []flow.Finding {
	const check = "settings"
	if len(x.Settings.Problems) == 0 {
		return ok(check, "clients "+strings.Join(names(x.Settings.All), ", "))
	}
	var found []flow.Finding
	for _, f := range x.Settings.Problems {
		found = append(found, problem(check, flow.ClassConfig, oneLine(f.Text), oneLine(f.Hint))...)
	}
	if x.remote != "" {
		return warning(check, "no client is configured here; the service at "+x.remote+" has a configuration of its own", "the service and its clients are checked below; to check the settings, too, run tokend doctor with the service's variables, as its user")
	}
	return found
}

// checkAPIKey reports where callers get their API key.
func (x *examination) checkAPIKey(context.Context) []flow.Finding {
	const check = "api key"
	switch s := x.Settings; {
	case s.Listen.Off:
		return skipped(check, "there is no TCP listener; the socket needs none")
	case x.wrong("api_key"):
		return skipped(check, "its setting is wrong")
	case s.APIKey:
		return ok(check, "it is set")
	case s.APIKeyFile == "":
		return warning(check, "it is not set, and its file has no default place", "set TOKEND_API_KEY or TOKEND_API_KEY_FILE")
	default:
		return ok(check, "tokend serve makes one at its first start: "+s.APIKeyFile)
	}
}

// wrong reports whether a problem of the configuration is about one of these settings.
func (x *examination) wrong(settings ...string) bool {
	return x.Settings.Wrong != nil && x.Settings.Wrong(settings...)
}

// checkSocketPath finds what would keep tokend serve from its socket.
func (x *examination) checkSocketPath(context.Context) []flow.Finding {
	const check = "socket path"
	path := x.Settings.Socket
	if path == "" {
		return skipped(check, "there is no socket")
	}
	dir := filepath.Dir(path)
	if len(path) > longestSocket {
		return problem(check, flow.ClassConfig, fmt.Sprintf("%s has %d bytes, and a socket's path at most %d", path, len(path), longestSocket), "set TOKEND_SOCKET to a shorter path")
	}
	if fi, err := os.Stat(dir); err == nil {
		if err := durable.CheckDir(dir, fi, durable.Private, "set TOKEND_SOCKET to a path in a directory of its own"); err != nil {
			return problem(check, flow.ClassConfig, "the socket's directory "+err.Error(), hint.Of(err))
		}
	}
	fi, err := os.Lstat(path)
	if err == nil && fi.Mode().Type() != fs.ModeSocket {
		return problem(check, flow.ClassConfig, path+" is not a socket", "set TOKEND_SOCKET to another path")
	}
	if err == nil && fi.Mode().Perm()&0o077 != 0 {
		return problem(check, flow.ClassConfig, fmt.Sprintf("socket %s is open to others (mode %#o)", path, fi.Mode().Perm()), "chmod 600 "+path)
	}
	return ok(check, path)
}

// checkStore opens the store with its keyset, read-only.
func (x *examination) checkStore(ctx context.Context) []flow.Finding {
	const check = "store"
	s := x.Settings
	if x.wrong("store", "store_key") {
		return skipped(check, "its setting is wrong")
	}
	if s.KeysetErr != nil {
		return problem("keyset", flow.ClassConfig, s.KeysetErr.Error(), "put back the keyset that the store was made with")
	}
	addr := x.Getenv(addrVariable)
	if x.remote != "" && addr != "" {
		return skipped(check, "it is the service's, which has a configuration of its own")
	}
	exists, err := x.CheckStore(ctx)
	switch {
	case err != nil && errors.Is(err, x.StoreUnreachable):
		return problemOf(check, flow.ClassStoreUnavailable, err)
	case errors.Is(err, flow.ErrCorrupt):
		return problemOf(check, flow.ClassStoreCorrupt, err)
	case err != nil:
		return problemOf(check, flow.ClassConfig, err)
	case s.PasswordInURL:
		return warning(check, "the store's URL has a password: other users and logs may show it", "move it to a file: TOKEND_STORE_PASSWORD_FILE, or PGPASSFILE")
	case !exists && x.remote != "":
		return skipped(check, "it is the service's, which has a configuration of its own")
	case !exists:
		return ok(check, "tokend serve makes it at its first start: "+s.Store)
	case addr != "":
		return ok(check, fmt.Sprintf("%s opens with its keyset; it is that of the settings here; the service at %s may have another", s.Store, addr))
	}
	return ok(check, s.Store+" opens with its keyset")
}

// checkWritable asks the system whether the directory of the store can be written. It
// writes nothing.
func (x *examination) checkWritable(context.Context) []flow.Finding {
	if x.Settings.StoreDir == "" {
		return skipped(checkDirectory, "the store has none")
	}
	dir := existing(x.Settings.StoreDir)
	if err := x.Machine.Writable(dir); err != nil {
		return problem(checkDirectory, flow.ClassConfig, fmt.Sprintf("state directory %s not writable: %v", dir, err), "make it writable for the user that runs tokend serve, or set TOKEND_STORE to another")
	}
	return ok(checkDirectory, dir+" can be written")
}

// existing is dir, or the first directory above it that exists.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// checkOwners compares the owner of what the service writes with the user of this
// process.
func (x *examination) checkOwners(context.Context) []flow.Finding {
	const check = "owner"
	var paths []string
	if dir := x.Settings.StoreDir; dir != "" {
		paths = append(paths, dir)
		if file := x.Settings.StoreFile; file != "" {
			paths = append(paths, file)
		}
	}
	if s := x.Settings.Socket; s != "" {
		paths = append(paths, filepath.Dir(s), s)
	}
	for _, path := range paths {
		fi, err := os.Lstat(path)
		if err != nil {
			continue
		}
		owner, known := x.Machine.Owner(fi)
		switch text := fmt.Sprintf("%s belongs to user %d, and this runs as user %d", path, owner, x.Machine.UID); {
		case !known || owner == x.Machine.UID:
		case x.Machine.UID == 0 && !fi.IsDir(): // a directory of another user is refused at start
			return warning(check, text, "run tokend as the user that its files belong to, or root will own the files that it creates")
		default:
			return problem(check, flow.ClassConfig, text, fmt.Sprintf("run tokend as user %d, or give the files to user %d", owner, x.Machine.UID))
		}
	}
	return ok(check, fmt.Sprintf("user %d", x.Machine.UID))
}

// checkMixUp finds clients of different issuers on one redirect URI whose
// providers do not name themselves in the callback: a code of one may then be
// taken for the other's (RFC 9700 section 4.4).
func (x *examination) checkMixUp(ctx context.Context) []flow.Finding {
	const check = "mix-up"
	byCallback, issuers := map[string][]Client{}, map[string]bool{}
	for _, c := range x.Settings.All {
		if _, code := c.Source.(flow.AuthorizationCode); code {
			byCallback[c.RedirectURL] = append(byCallback[c.RedirectURL], c)
			issuers[c.Issuer] = true
		}
	}
	switch {
	case len(issuers) < 2:
		return nil
	case x.Offline:
		return skipped(check, "the providers are not asked: --offline")
	}
	var found []flow.Finding
	for callback, clients := range byCallback {
		var unnamed []Client
		for _, c := range clients {
			if !namesIssuer(ctx, c) {
				unnamed = append(unnamed, c)
			}
		}
		one, other := mixed(unnamed, clients)
		if one == "" {
			continue
		}
		found = append(found, problem(check, flow.ClassConfig,
			fmt.Sprintf("clients %s and %s have different issuers and the same redirect_uri %s, and callbacks for %s do not name their issuer", one, other, callback, one),
			fmt.Sprintf("set redirect_uri of one of them to an address of its own, such as %s/%s, and allow that at its provider", strings.TrimSuffix(callback, "/"), one))...)
	}
	if found == nil {
		return ok(check, "callbacks tell the issuers apart")
	}
	return found
}

// names are those of clients.
func names(clients []Client) []string {
	var list []string
	for _, c := range clients {
		list = append(list, c.Name)
	}
	return list
}

// mixed returns the first client that is not named in its callbacks, and one of
// another issuer.
func mixed(unnamed, clients []Client) (one, other string) {
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
func namesIssuer(ctx context.Context, c Client) bool {
	client, err := flow.New(c.Config)
	if err != nil {
		return true
	}
	defer func() { _ = client.Close() }() // it has no error
	named, err := client.NamesIssuer(ctx)
	return named || err != nil
}
