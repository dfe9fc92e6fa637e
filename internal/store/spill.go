package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/pkg/flow"
)

// maxSpill is the maximum size of a spilled grant's file.
const maxSpill = 16 << 20

// spill stores grants that could not be saved, in one sealed file each. Its zero
// value stores none.
type spill struct {
	dir   string
	store string // id of the store, because two stores can share dir
	keys  *seal.Keyset
}

// spilled is the content of the file: in the clear only what tells which row it
// replaces; the seal covers it, too.
type spilled struct {
	Store      string `json:"store,omitempty"` // "": the first format, with a client's name as key
	Key        string `json:"key"`
	Revision   int64  `json:"revision"` // of the row that it was to replace
	Generation int64  `json:"generation"`
	Sealed     []byte `json:"sealed"`
}

func (f *spilled) place() []string {
	names := []string{"spill", f.Key, strconv.FormatInt(f.Revision, 10), strconv.FormatInt(f.Generation, 10)}
	if f.Store != "" {
		names = append(names, f.Store)
	}
	return names
}

// spillDir returns the default directory, next to the database.
func spillDir(database string) string { return database + ".spill" }

// newSpill rejects a directory that others can write to. It creates a configured
// directory, so that errors appear at the start; the default one is created when it
// is needed.
func newSpill(dir string, o Options) (spill, error) {
	s := spill{dir: dir, keys: o.Keys}
	if o.SpillDir == "" {
		return s, checkSpill(dir)
	}
	var err error
	if s.dir, err = filepath.Abs(o.SpillDir); err != nil {
		return s, fmt.Errorf("store: spill: %w", err)
	}
	return s, guardDir(spills, s.dir)
}

func (s spill) file(key string) string {
	h := sha256.Sum256([]byte(s.store + "\x00" + key))
	return filepath.Join(s.dir, hex.EncodeToString(h[:]))
}

// Spill stores g in a file, for a caller whose Save keeps failing (a full disk, a
// medium that does not answer). It is durable when Spill returns nil. From then
// on Load returns g until something newer is saved. If a newer grant of that key
// is already spilled, it returns [flow.ErrConflict].
func (s *Store) Spill(_ context.Context, key string, g *flow.Grant) error {
	if s.spill.dir == "" {
		return errors.New("store: this store has no place for a spill")
	}
	other, err := s.spill.load(key)
	if err == nil && !supersedes(g, other) {
		return fmt.Errorf("store: spill: %w", flow.ErrConflict)
	}
	return s.spill.save(key, g)
}

// newer reports whether a spilled grant supersedes the saved one (nil: none). A
// deleted grant stays deleted. A grant that was made from the saved revision, or
// a later one, is newer even if the clocks disagree, unless it is the same login
// with a lower generation.
func newer(spilled, saved *flow.Grant) bool {
	switch {
	case saved == nil:
		return spilled.Revision == 0
	case spilled.Revision >= saved.Revision:
		behind := sameLogin(spilled, saved) && !isLogout(spilled) && !isLogout(saved) && spilled.Generation < saved.Generation
		return !behind
	}
	return later(spilled, saved)
}

// supersedes reports whether g replaces another spilled grant. Of two logins, the
// one that was made from the later revision wins. If both were made from the same
// revision, that does not tell their order.
func supersedes(g, other *flow.Grant) bool {
	known := g.Revision > 0 && other.Revision > 0 && g.Revision != other.Revision
	if known && !sameLogin(g, other) {
		return g.Revision > other.Revision
	}
	return later(g, other) || !later(other, g) && g.Revision >= other.Revision
}

// later reports whether a is later than b, if neither is known to be made from
// the other. Within one login the generation decides, and the logout comes last.
// Two logins, or a login and the logout of another login, have no common counter:
// the wall clocks of the processes that wrote them decide. If the clock was set
// back between a logout and a login, that login loses, and the person must log in
// again.
func later(a, b *flow.Grant) bool {
	switch same := sameLogin(a, b); {
	case isLogout(b):
		return !same && a.LoggedIn.After(b.Exchanged)
	case isLogout(a):
		return same || !b.LoggedIn.After(a.Exchanged)
	case same:
		return a.Generation > b.Generation
	default:
		return a.LoggedIn.After(b.LoggedIn)
	}
}

// isLogout reports whether g records a logout. Its Exchanged is then the time of
// the logout.
func isLogout(g *flow.Grant) bool { return g.State == flow.GrantLoggedOut }

// sameLogin compares the login times, which identify a login.
func sameLogin(a, b *flow.Grant) bool { return a.LoggedIn.Equal(b.LoggedIn) }

func (s spill) save(key string, g *flow.Grant) error { return s.write(s.file(key), key, g) }

// write writes the file durably, completely or not at all. If the keys were rotated
// at that time, it writes it again with the new key, because the rotation may not have
// seen the file.
func (s spill) write(name, key string, g *flow.Grant) error {
	err := s.writeOnce(name, key, g)
	for err == nil && s.keys.Refresh() {
		err = s.writeOnce(name, key, g)
	}
	return err
}

func (s spill) writeOnce(name, key string, g *flow.Grant) error {
	plain, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("store: spill: %w", err)
	}
	f := &spilled{Store: s.store, Key: key, Revision: g.Revision, Generation: g.Generation}
	if f.Sealed, err = s.keys.Seal(plain, f.place()...); err != nil {
		return err
	}
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("store: spill: %w", err)
	}
	if err := guardDir(spills, s.dir); err != nil {
		return err
	}
	if err := durable.Replace(name, 0o600, b); err != nil {
		return fmt.Errorf("store: spill: %w", err)
	}
	if err := errors.Join(durable.SyncDir(s.dir), durable.SyncDir(filepath.Dir(s.dir))); err != nil {
		return fmt.Errorf("store: spill: %w", err)
	}
	return nil
}

// load returns fs.ErrNotExist if nothing is spilled for key, and flow.ErrCorrupt
// if it cannot be read.
func (s spill) load(key string) (*flow.Grant, error) {
	if s.dir == "" {
		return nil, fs.ErrNotExist
	}
	f, err := readSpilled(s.file(key))
	if err != nil {
		return nil, err
	}
	if f.Key != key || f.Store != s.store {
		return nil, flow.ErrCorrupt
	}
	g, err := f.open(s.keys)
	if errors.Is(err, errNoKey) {
		return nil, fmt.Errorf("%s: %w", s.file(key), err)
	}
	return g, err
}

// readSpilled returns flow.ErrCorrupt if the file has another form.
func readSpilled(name string) (*spilled, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(file, maxSpill))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	f := &spilled{}
	if json.Unmarshal(b, f) != nil {
		return nil, flow.ErrCorrupt
	}
	return f, nil
}

// errNoKey is the error of a spilled grant whose key is not in the keyset. It may be
// later than the saved one, so that one is not used.
var errNoKey = errors.New("the keyset does not have its key")

// open returns flow.ErrCorrupt if the grant is damaged.
func (f *spilled) open(keys *seal.Keyset) (*flow.Grant, error) {
	plain, err := keys.Open(f.Sealed, f.place()...)
	if id, ok := seal.KeyOf(f.Sealed); err != nil && ok && !keys.Knows(id) {
		return nil, hint.Errorf("put the former store key back into the keyset file; if it is lost, remove the spilled file and log in again",
			"a grant was sealed with store key %d: %w", id, errNoKey)
	}
	if err != nil {
		return nil, flow.ErrCorrupt
	}
	g := &flow.Grant{}
	if err := json.Unmarshal(plain, g); err != nil || g.Generation != f.Generation {
		return nil, flow.ErrCorrupt
	}
	g.Revision = f.Revision
	return g, nil
}

// list returns the spilled grants of this store that can be opened.
func (s spill) list() ([]flow.StoredGrant, error) {
	if s.dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []flow.StoredGrant
	for _, e := range entries {
		f, err := readSpilled(filepath.Join(s.dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, flow.ErrCorrupt) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if f.Store != s.store || e.Name() != filepath.Base(s.file(f.Key)) {
			continue
		}
		g, err := f.open(s.keys)
		fi, infoErr := e.Info()
		if err != nil || infoErr != nil { // damaged, or saved since
			continue
		}
		list = append(list, flow.StoredGrant{Key: f.Key, Revision: f.Revision, Generation: f.Generation, State: g.State, Saved: fi.ModTime()})
	}
	return list, nil
}

// Suffixes of spilled files that cannot be saved. They are kept for a person to
// inspect, until the grant is deleted.
const (
	damaged = ".damaged" // the file cannot be read
	lost    = ".lost"    // another grant was saved instead
)

// cleanUp removes or renames the spilled file after g was saved.
func (s spill) cleanUp(key string, g *flow.Grant) {
	spilled, err := s.load(key)
	switch {
	case errors.Is(err, flow.ErrCorrupt):
		_ = os.Rename(s.file(key), s.file(key)+damaged) // if this fails, Load ignores the file anyway
	case err != nil || newer(spilled, g):
	case spilled.RefreshToken == g.RefreshToken || spilled.State == flow.GrantLoggedOut:
		_ = os.Remove(s.file(key)) // if this fails, Load ignores the file anyway
	default:
		_ = os.Rename(s.file(key), s.file(key)+lost) // if this fails, Load ignores the file anyway
	}
}

// remove removes all spilled files of key.
func (s spill) remove(key string) error {
	if s.dir == "" {
		return nil
	}
	var err error
	for _, suffix := range []string{"", damaged, lost} {
		if e := os.Remove(s.file(key) + suffix); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e, durable.SyncDir(s.dir))
		}
	}
	if err != nil {
		return fmt.Errorf("store: remove the spill: %w", err)
	}
	return nil
}
