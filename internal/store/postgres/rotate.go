package postgres

import (
	"context"
	"errors"
)

func (s *Store) UseKey(context.Context, uint32) error       { return errors.ErrUnsupported }
func (s *Store) SealingKey(context.Context) (uint32, error) { return 0, errors.ErrUnsupported }
func (s *Store) SealedWith(context.Context) (map[uint32]int, error) {
	return nil, errors.ErrUnsupported
}
func (s *Store) Reseal(context.Context) (int, int, error) { return 0, 0, errors.ErrUnsupported }
