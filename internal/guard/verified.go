package guard

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	verifiedFor = time.Minute // how long a key that the issuer has withdrawn can still count
	maxVerified = 1000        // tokens
)

// verified has the callers of tokens that were verified lately, by the hash of the token:
// a signature costs several times as much as the read of an access token.
type verified struct {
	mu   sync.RWMutex
	list map[[sha256.Size]byte]verifiedToken
}

type verifiedToken struct {
	caller      *Caller
	from, until time.Time // from: a clock that was set back
}

func (v verifiedToken) valid(now time.Time) bool { return !now.Before(v.from) && now.Before(v.until) }

// caller returns the caller of a token, or nil if it has to be verified.
func (v *verified) caller(token [sha256.Size]byte, now time.Time) *Caller {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if known := v.list[token]; known.valid(now) {
		return known.caller
	}
	return nil
}

// keep keeps the caller of a token until it expires, but not for long.
func (v *verified) keep(token [sha256.Size]byte, caller *Caller, now, expiry time.Time) {
	until := now.Add(verifiedFor)
	if expiry.Before(until) {
		until = expiry
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.list) >= maxVerified {
		for hash, known := range v.list {
			if !known.valid(now) {
				delete(v.list, hash)
			}
		}
	}
	if v.list == nil || len(v.list) >= maxVerified {
		v.list = map[[sha256.Size]byte]verifiedToken{}
	}
	v.list[token] = verifiedToken{caller, now, until}
}
