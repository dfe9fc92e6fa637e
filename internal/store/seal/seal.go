// Package seal encrypts the data that a store writes to disk. A [Keyset] has one
// or more AES-256-GCM keys in Tink's format. Every sealed value has the id of its
// key in the clear (Tink's five-byte prefix), so that keys can be rotated.
package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrOpen is the error of [Keyset.Open] for a value that was sealed with another
// key, at another place, or was changed.
var ErrOpen = errors.New("seal: the value was sealed with another key or in another place, or is damaged")

// Keyset seals with its primary key and opens with any of its keys. It is safe
// for concurrent use. Printing it shows no key.
type Keyset struct {
	current atomic.Pointer[keys]

	mu   sync.Mutex // serializes read and the change of current
	read func() (*Keyset, error)
}

// keys is one state of a keyset.
type keys struct {
	handle *keyset.Handle
	aead   tink.AEAD
}

// New returns a keyset with one new key.
func New() (*Keyset, error) {
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("seal: make a key: %w", err)
	}
	return fromHandle(h)
}

// Parse parses a cleartext Tink keyset: its JSON, or the base64 (standard or URL
// alphabet) of that JSON, for environment variables. Errors do not contain the
// text.
func Parse(text string) (*Keyset, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, errors.New("seal: the keyset is empty")
	}
	if text[0] != '{' {
		b, err := decodeBase64(text)
		if err != nil {
			return nil, errors.New("seal: the keyset is neither Tink JSON nor base64 of it")
		}
		text = string(b)
	}
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(strings.NewReader(text)))
	if err != nil { // the cause may quote a key
		return nil, errors.New("seal: the keyset is not a cleartext Tink keyset in JSON")
	}
	return fromHandle(h)
}

func decodeBase64(s string) ([]byte, error) {
	s = strings.TrimRight(strings.Join(strings.Fields(s), ""), "=")
	s = strings.NewReplacer("-", "+", "_", "/").Replace(s)
	return base64.RawStdEncoding.DecodeString(s)
}

func fromHandle(h *keyset.Handle) (*Keyset, error) {
	a, err := aead.New(h)
	if err != nil {
		return nil, errors.New("seal: the keyset has no AEAD key that is enabled and primary")
	}
	k := &Keyset{}
	k.current.Store(&keys{handle: h, aead: a})
	return k, nil
}

// WriteTo writes the keyset as JSON with its keys in the clear. Only the owner
// should be able to read the result.
func (k *Keyset) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(k.current.Load().handle, keyset.NewJSONWriter(&b)); err != nil {
		return 0, fmt.Errorf("seal: write the keyset: %w", err)
	}
	b.WriteByte('\n')
	return b.WriteTo(w)
}

// String implements [fmt.Stringer] and shows only the number of keys.
func (k *Keyset) String() string {
	return fmt.Sprintf("seal.Keyset(%d keys)", k.current.Load().handle.Len())
}

// Format implements [fmt.Formatter] and masks for every verb.
func (k *Keyset) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// Seal encrypts plain and binds it to its place: Open needs the same names in the
// same order.
func (k *Keyset) Seal(plain []byte, place ...string) ([]byte, error) {
	b, err := k.current.Load().aead.Encrypt(plain, additional(place))
	if err != nil {
		return nil, fmt.Errorf("seal: encrypt: %w", err)
	}
	return b, nil
}

// Open decrypts a value from [Keyset.Seal], or returns [ErrOpen]. If the value's key
// is unknown, it reads the keyset again: see [Keyset.Follow].
func (k *Keyset) Open(sealed []byte, place ...string) ([]byte, error) {
	if id, ok := KeyOf(sealed); ok && !k.has(id) {
		if b, err := k.readFor(sealed, place); err == nil {
			return b, nil
		}
	}
	b, err := k.current.Load().aead.Decrypt(sealed, additional(place))
	if err != nil {
		return nil, ErrOpen
	}
	return b, nil
}

// additional encodes the names with their lengths, so that different lists have
// different encodings.
func additional(place []string) []byte {
	b := []byte("tokend/1")
	for _, s := range place {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}
