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
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/pkg/flow"
)

// maxSpill bounds what is read as a spilled grant.
const maxSpill = 16 << 20

// spill keeps, one sealed file each, the grants that could not be saved. Its
// zero value keeps none.
type spill struct {
	dir   string
	store string // id of the store, so that two can share dir
	keys  *seal.Keyset
}

// spilled is the file's form: in the clear what says whether it still counts,
// which the seal covers.
type spilled struct {
	Store      string `json:"store,omitempty"` // "": the first format, whose key is a client's name
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

// spillDir is the default: beside the database.
func spillDir(database string) string { return database + ".spill" }

// newSpill refuses a directory that others can write to. One that is configured
// is made, so that what is wrong with it is found at the start.
func newSpill(database string, o Options) (spill, error) {
	s := spill{dir: spillDir(database), keys: o.Keys}
	if o.SpillDir == "" {
		return s, checkSpill(database, "")
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

// Spill keeps g aside, durable when it returns nil, for a caller whose Save
// keeps failing (a full disk, a medium that does not answer). From then on
// Load returns g, for as long as nothing newer is saved. It is
// [flow.ErrConflict] when a newer grant of that key is aside already.
func (s *Store) Spill(_ context.Context, key string, g *flow.Grant) error {
	if s.spill.dir == "" {
		return errors.New("store: this store has no place for a spill")
	}
	there, err := s.spill.load(key)
	if err == nil && !supersedes(g, there) {
		return fmt.Errorf("store: spill: %w", flow.ErrConflict)
	}
	return s.spill.save(key, g)
}

// Load implements [flow.Store]: the saved grant, or the one that was spilled
// when it is newer. A spilled grant has the saved one's revision, so that the
// next Save puts it in its place.
func (s *Store) Load(ctx context.Context, key string) (*flow.Grant, error) {
	saved, err := s.medium.Load(ctx, key)
	if err != nil && !errors.Is(err, flow.ErrNotFound) {
		return nil, err
	}
	aside, spillErr := s.spill.load(key)
	switch {
	case errors.Is(spillErr, fs.ErrNotExist) || errors.Is(spillErr, flow.ErrCorrupt):
		return saved, err
	case spillErr != nil: // it may be newer than the saved one, whose token is spent then
		return nil, fmt.Errorf("store: spill: %w", spillErr)
	case !newer(aside, saved):
		return saved, err
	}
	aside.Revision = 0
	if saved != nil {
		aside.Revision, aside.Restored = saved.Revision, saved.Restored
	}
	return aside, nil
}

// Save implements [flow.Store]. A spilled grant goes once it is saved; one that
// another has superseded is kept under a name that ends in ".lost". A logout
// removes all that was spilled.
func (s *Store) Save(ctx context.Context, l flow.Lease, g *flow.Grant) error {
	if err := s.medium.Save(ctx, l, g); err != nil {
		return err
	}
	if g.State == flow.GrantLoggedOut {
		_ = s.spill.remove(l.Key()) // what stays is older than the logout, so Load ignores it
		return nil
	}
	s.spill.settle(l.Key(), g)
	return nil
}

// Delete implements [flow.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.medium.Delete(ctx, key); err != nil {
		return err
	}
	return s.spill.remove(key)
}

// newer reports whether a spilled grant supersedes the saved one (nil: none). A
// deleted grant stays deleted. A grant that was made from the saved revision, or a
// later one, is newer whatever the clocks say, unless it is the same login with a
// lower generation.
func newer(aside, saved *flow.Grant) bool {
	switch {
	case saved == nil:
		return aside.Revision == 0
	case aside.Revision >= saved.Revision:
		behind := sameLogin(aside, saved) && !out(aside) && !out(saved) && aside.Generation < saved.Generation
		return !behind
	}
	return later(aside, saved)
}

// supersedes reports whether g replaces another spilled grant. Of two logins the
// one that was made from the later revision is kept. If both were made from the
// same revision, that does not say which came first.
func supersedes(g, there *flow.Grant) bool {
	known := g.Revision > 0 && there.Revision > 0 && g.Revision != there.Revision
	if known && !sameLogin(g, there) {
		return g.Revision > there.Revision
	}
	return later(g, there) || !later(there, g) && g.Revision >= there.Revision
}

// later reports whether a is later than b, when neither is known to be made from
// the other. Within one login the generation decides, and the logout comes last.
// Two logins, and a login and the logout of another login, share no counter: the
// wall clocks of the processes that wrote them decide. If the clock was set back
// between a logout and a login, that login loses, and the person must log in again.
func later(a, b *flow.Grant) bool {
	switch same := sameLogin(a, b); {
	case out(b):
		return !same && a.LoggedIn.After(b.Exchanged)
	case out(a):
		return same || !b.LoggedIn.After(a.Exchanged)
	case same:
		return a.Generation > b.Generation
	default:
		return a.LoggedIn.After(b.LoggedIn)
	}
}

// out reports whether g records a logout. Its Exchanged is then the logout's time.
func out(g *flow.Grant) bool { return g.State == flow.GrantLoggedOut }

// sameLogin: the time of a login identifies it.
func sameLogin(a, b *flow.Grant) bool { return a.LoggedIn.Equal(b.LoggedIn) }

func (s spill) save(key string, g *flow.Grant) error { return s.write(s.file(key), key, g) }

// write makes the file durable, whole or not at all.
func (s spill) write(name, key string, g *flow.Grant) error {
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

// load is fs.ErrNotExist when nothing is aside for key, flow.ErrCorrupt when
// what is cannot be read.
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
	return f.open(s.keys)
}

// readSpilled is flow.ErrCorrupt when the file has another form.
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

// open is flow.ErrCorrupt when the grant cannot be read.
func (f *spilled) open(keys *seal.Keyset) (*flow.Grant, error) {
	plain, err := keys.Open(f.Sealed, f.place()...)
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

// What is aside and was neither saved nor can be: for a person to look at, until
// the grant is deleted.
const (
	damaged = ".damaged" // cannot be read
	lost    = ".lost"    // another grant was saved in its stead
)

// settle clears what is aside after g was saved.
func (s spill) settle(key string, g *flow.Grant) {
	aside, err := s.load(key)
	switch {
	case errors.Is(err, flow.ErrCorrupt):
		_ = os.Rename(s.file(key), s.file(key)+damaged) // where it is, it is ignored as well
	case err != nil || newer(aside, g):
	case aside.RefreshToken == g.RefreshToken || aside.State == flow.GrantLoggedOut:
		_ = os.Remove(s.file(key)) // likewise
	default:
		_ = os.Rename(s.file(key), s.file(key)+lost) // likewise
	}
}

// remove forgets what is aside for key, in whatever state.
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
		return fmt.Errorf("store: forget the spill: %w", err)
	}
	return nil
}
