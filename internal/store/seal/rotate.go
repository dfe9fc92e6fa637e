package seal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// Key is a key of a keyset, without the key itself.
type Key struct {
	ID      uint32
	Primary bool
}

// Keys returns the keys in the order of the keyset.
func (k *Keyset) Keys() []Key {
	var all []Key
	for _, i := range k.current.Load().handle.KeysetInfo().GetKeyInfo() {
		all = append(all, Key{ID: i.GetKeyId(), Primary: i.GetKeyId() == k.Primary()})
	}
	return all
}

// Primary returns the id of the key that Seal uses.
func (k *Keyset) Primary() uint32 {
	return k.current.Load().handle.KeysetInfo().GetPrimaryKeyId()
}

// Knows reports whether the keyset has a key, or the file that it follows does.
func (k *Keyset) Knows(id uint32) bool {
	if k.has(id) || k.read == nil {
		return k.has(id)
	}
	next, err := k.read()
	return err == nil && next.has(id)
}

func (k *Keyset) has(id uint32) bool {
	for _, key := range k.Keys() {
		if key.ID == id {
			return true
		}
	}
	return false
}

// prefix is the length of Tink's prefix: a version, and the id of the key.
const prefix = 5

// KeyOf is [KeyOf] for an interface.
func (*Keyset) KeyOf(sealed []byte) (id uint32, ok bool) { return KeyOf(sealed) }

// KeyOf returns the id of the key that sealed a value.
func KeyOf(sealed []byte) (id uint32, ok bool) {
	if len(sealed) < prefix || sealed[0] != 1 {
		return 0, false
	}
	return binary.BigEndian.Uint32(sealed[1:prefix]), true
}

// Added returns the keyset with a new key as its primary one.
func (k *Keyset) Added() (*Keyset, error) {
	return k.changed(func(m *keyset.Manager) error {
		id, err := m.Add(aead.AES256GCMKeyTemplate())
		if err != nil {
			return err
		}
		return m.SetPrimary(id)
	})
}

// Retired returns the keyset with its primary key alone.
func (k *Keyset) Retired() (*Keyset, error) {
	return k.changed(func(m *keyset.Manager) error {
		var errs []error
		for _, key := range k.Keys() {
			if !key.Primary {
				errs = append(errs, m.Delete(key.ID))
			}
		}
		return errors.Join(errs...)
	})
}

func (k *Keyset) changed(change func(*keyset.Manager) error) (*Keyset, error) {
	m := keyset.NewManagerFromHandle(k.current.Load().handle)
	if err := change(m); err != nil {
		return nil, fmt.Errorf("seal: change the keyset: %w", err)
	}
	h, err := m.Handle()
	if err != nil {
		return nil, fmt.Errorf("seal: change the keyset: %w", err)
	}
	return fromHandle(h)
}

// Follow lets k read the keyset again when it meets an unknown key, because another
// process may have rotated the keys. What was read takes the place of k's keys only if
// it opens that value: another file by mistake changes nothing. Call it before use.
func (k *Keyset) Follow(read func() (*Keyset, error)) { k.read = read }

// readFor reads the keyset again for a value with an unknown key.
func (k *Keyset) readFor(sealed []byte, place []string) ([]byte, error) {
	if k.read == nil {
		return nil, ErrOpen
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	next, err := k.read()
	if err != nil {
		return nil, err
	}
	b, err := next.current.Load().aead.Decrypt(sealed, additional(place))
	if err != nil {
		return nil, ErrOpen
	}
	k.current.Store(next.current.Load())
	return b, nil
}

// Refresh reads the keyset again, and reports whether its primary key has changed. A
// keyset without any of the keys so far changes nothing.
func (k *Keyset) Refresh() bool {
	if k.read == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	next, err := k.read()
	if err != nil {
		return false
	}
	before := k.Primary()
	for _, key := range next.Keys() {
		if k.has(key.ID) {
			k.current.Store(next.current.Load())
			break
		}
	}
	return k.Primary() != before
}

// Adopt opens a value as Open does, and from then on Seal uses the key of that value.
// The store decides by such a value with which key its rows are sealed.
func (k *Keyset) Adopt(sealed []byte, place ...string) ([]byte, error) {
	b, err := k.Open(sealed, place...)
	if err != nil {
		return nil, err
	}
	id, _ := KeyOf(sealed)
	return b, k.Use(id)
}

// Use makes a key the primary one, in this process.
func (k *Keyset) Use(id uint32) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.Primary() == id {
		return nil
	}
	next, err := k.changed(func(m *keyset.Manager) error { return m.SetPrimary(id) })
	if err != nil {
		return err
	}
	k.current.Store(next.current.Load())
	return nil
}
