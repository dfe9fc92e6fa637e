package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/pkg/flow"
)

// exportFormat is the version of the format of an export.
const exportFormat = 1

// maxExport bounds what Import reads.
const maxExport = 2 << 30

// exported is the content of an export: in the clear, only what a store has in the
// clear.
type exported struct {
	Format int             `json:"tokend_export"`
	Store  string          `json:"store"` // id of the store that it came from
	Time   time.Time       `json:"time"`
	Key    uint32          `json:"key_id"` // of the store key that sealed it
	Grants []exportedGrant `json:"grants"`
	Check  []byte          `json:"check"` // the number of grants, sealed: shows another key and a changed list
}

type exportedGrant struct {
	Key        string `json:"key"`
	Generation int64  `json:"generation"`
	Restored   bool   `json:"restored,omitempty"` // from an older copy of its store, not resumed
	Sealed     []byte `json:"sealed"`
}

func (e *exported) place(g *exportedGrant) []string {
	return []string{"export", e.Store, e.Time.Format(time.RFC3339Nano), g.Key, strconv.FormatInt(g.Generation, 10), strconv.FormatBool(g.Restored)}
}

func (e *exported) checkPlace() []string {
	return []string{"export", "check", e.Store, e.Time.Format(time.RFC3339Nano)}
}

// source is what an export reads: any store that lists its grants.
type source interface {
	flow.Store
	flow.Lister
	ID() string
}

// Export copies all grants of a store, sealed with its keys, and passes the result to
// write. Before, it marks each grant in the store as moved, under its lease: the store
// sends nothing for it until it is resumed or logged in again, so two stores never use
// one refresh token. If write fails, the marks are removed again.
func (s *Store) Export(ctx context.Context, now time.Time, write func([]byte) error) (n int, err error) {
	return export(ctx, s, s.keys, now, write)
}

func export(ctx context.Context, from source, keys *seal.Keyset, now time.Time, write func([]byte) error) (n int, err error) {
	e := &exported{Format: exportFormat, Store: from.ID(), Time: now.UTC(), Key: keys.Primary(), Grants: []exportedGrant{}}
	var marked []string
	defer func() {
		if err != nil {
			err = errors.Join(err, unmark(context.WithoutCancel(ctx), from, marked))
		}
	}()
	for listed, err := range from.List(ctx) {
		if err != nil {
			return 0, err
		}
		g, did, err := setMoved(ctx, from, listed.Key, true)
		if did {
			marked = append(marked, listed.Key)
		}
		if errors.Is(err, flow.ErrNotFound) { // deleted since
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("store: export %s: %w", listed.Key, err)
		}
		if err := e.add(keys, listed.Key, g); err != nil {
			return 0, err
		}
	}
	if e.Check, err = keys.Seal([]byte(strconv.Itoa(len(e.Grants))), e.checkPlace()...); err != nil {
		return 0, err
	}
	b, err := json.Marshal(e)
	if err != nil {
		return 0, fmt.Errorf("store: export: %w", err)
	}
	return len(e.Grants), write(append(b, '\n'))
}

// add seals a grant for the export.
func (e *exported) add(keys *seal.Keyset, key string, g *flow.Grant) error {
	plain, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("store: export: %w", err)
	}
	out := exportedGrant{Key: key, Generation: g.Generation, Restored: g.Restored}
	if out.Sealed, err = keys.Seal(plain, e.place(&out)...); err != nil {
		return err
	}
	e.Grants = append(e.Grants, out)
	return nil
}

// setMoved sets or removes the mark of a grant, and returns the grant as it was. A
// grant without a refresh token needs no mark.
func setMoved(ctx context.Context, s flow.Store, key string, moved bool) (was *flow.Grant, did bool, err error) {
	err = underLease(ctx, s, key, func(l flow.Lease) error {
		g, err := s.Load(ctx, key)
		if err != nil {
			return err
		}
		copied := *g
		was = &copied
		if g.RefreshToken == "" || g.Moved == moved {
			return nil
		}
		g.Moved = moved
		err = s.Save(ctx, l, g)
		did = err == nil
		return err
	})
	return was, did, err
}

func unmark(ctx context.Context, s flow.Store, keys []string) (err error) {
	for _, key := range keys {
		if _, _, e := setMoved(ctx, s, key, false); e != nil {
			err = errors.Join(err, fmt.Errorf("store: %s stays marked as moved: %w", key, e))
		}
	}
	return err
}

// underLease runs f under the lease of a grant. It waits for a refresh that is running.
func underLease(ctx context.Context, s flow.Store, key string, f func(flow.Lease) error) (err error) {
	l, err := lockSoon(ctx, s, key)
	if err != nil {
		return err
	}
	defer func() { _ = l.Release(context.WithoutCancel(ctx)) }() // a lease that is not released expires
	return f(l)
}

// Imported is the result of [Store.Import].
type Imported struct {
	Grants  int      // that were saved
	Present int      // that the store already had
	Refused []string // keys of the grants that the store has in a later state
}

// Import saves the grants of an export, each under its lease. A grant that the store
// has in a later state, or that another login has replaced, stays. keys opens the
// export; nil: the store's keys.
func (s *Store) Import(ctx context.Context, b []byte, keys *seal.Keyset) (Imported, error) {
	if keys == nil {
		keys = s.keys
	}
	return importInto(ctx, s, b, keys)
}

// ReadExport reads an export from r.
func ReadExport(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxExport+1))
	if err == nil && len(b) > maxExport {
		err = errors.New("it is larger than 2 GiB")
	}
	return b, err
}

func importInto(ctx context.Context, to flow.Store, b []byte, keys *seal.Keyset) (r Imported, err error) {
	e, err := parseExport(b, keys)
	if err != nil {
		return r, err
	}
	grants := make([]*flow.Grant, len(e.Grants)) // all open before one is saved
	for i := range e.Grants {
		if grants[i], err = e.open(keys, &e.Grants[i]); err != nil {
			return r, err
		}
	}
	for i, g := range grants {
		key := e.Grants[i].Key
		if err := underLease(ctx, to, key, func(l flow.Lease) error { return r.save(ctx, to, l, g) }); err != nil {
			return r, fmt.Errorf("store: import %s: %w", key, err)
		}
	}
	return r, nil
}

// parseExport checks that b is a complete export that keys opens.
func parseExport(b []byte, keys *seal.Keyset) (*exported, error) {
	e := &exported{}
	if err := json.Unmarshal(bytes.TrimSpace(b), e); err != nil || e.Format == 0 || e.Store == "" {
		return nil, hint.Errorf("use a file that tokend store export wrote, unchanged and complete", "store: this is not an export of a store")
	}
	if e.Format > exportFormat {
		return nil, hint.Errorf("use the version that wrote it, or a newer one",
			"store: the export has format %d, newer than the %d that this program knows", e.Format, exportFormat)
	}
	plain, err := keys.Open(e.Check, e.checkPlace()...)
	if err != nil {
		return nil, hint.Errorf("name the keyset file of the store that it came from: --keyset FILE",
			"store: the export cannot be opened: it was sealed with store key %d of another keyset, or was changed", e.Key)
	}
	if string(plain) != strconv.Itoa(len(e.Grants)) {
		return nil, hint.Errorf("export again", "store: the export was changed: it has %d grants, not %s", len(e.Grants), plain)
	}
	return e, nil
}

func (e *exported) open(keys *seal.Keyset, x *exportedGrant) (*flow.Grant, error) {
	plain, err := keys.Open(x.Sealed, e.place(x)...)
	g := &flow.Grant{}
	if err != nil || json.Unmarshal(plain, g) != nil { // the cause may quote a secret
		return nil, hint.Errorf("export again", "store: the export was changed: the grant %s does not open", x.Key)
	}
	g.Moved, g.Restored = false, x.Restored
	return g, nil
}

// save saves an imported grant, unless the stored one is later.
func (r *Imported) save(ctx context.Context, to flow.Store, l flow.Lease, g *flow.Grant) error {
	stored, err := to.Load(ctx, l.Key())
	switch {
	case errors.Is(err, flow.ErrNotFound):
	case err != nil:
		return err
	case sameLogin(stored, g) && stored.Generation == g.Generation && isLogout(stored) == isLogout(g):
		if !stored.Moved {
			r.Present++
			return nil
		}
		g.Revision = stored.Revision // back where it came from
	case !later(g, stored):
		r.Refused = append(r.Refused, l.Key())
		return nil
	default:
		g.Revision = stored.Revision
	}
	if err := to.Save(ctx, l, g); err != nil {
		return err
	}
	r.Grants++
	return nil
}
