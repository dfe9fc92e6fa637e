package store

import "example.com/tokend/internal/store/seal"

// KeysOf returns the keyset of a store.
func KeysOf(s *Store) *seal.Keyset { return s.keys }
