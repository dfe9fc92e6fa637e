package sqlite

import (
	"context"
	"iter"
	"time"

	"example.com/tokend/pkg/flow"
)

// listPage is how many rows List reads at once.
const listPage = 256

// List implements flow.Lister. Between two pages other operations run: there is only
// one connection.
func (s *Store) List(ctx context.Context) iter.Seq2[flow.StoredGrant, error] {
	return func(yield func(flow.StoredGrant, error) bool) {
		for after, first := "", true; ; first = false {
			page, err := s.listAfter(ctx, after, first)
			if err != nil {
				yield(flow.StoredGrant{}, err)
				return
			}
			for _, g := range page {
				if !yield(g, nil) {
					return
				}
			}
			if len(page) < listPage {
				return
			}
			after = page[len(page)-1].Key
		}
	}
}

// listAfter returns the next page after a key; the empty key is a key, too.
func (s *Store) listAfter(ctx context.Context, after string, first bool) (page []flow.StoredGrant, err error) {
	err = s.do(ctx, "list", func(ctx context.Context) error {
		if err := s.current(ctx, "list", s.db); err != nil {
			return err
		}
		rows, err := s.db.QueryContext(ctx, `SELECT key, revision, generation, state, saved FROM grants
			WHERE ?1 OR key > ?2 ORDER BY key LIMIT ?3`, first, after, listPage)
		if err != nil {
			return wrap("list", err)
		}
		defer func() { _ = rows.Close() }() // Err returns the error
		for rows.Next() {
			var g flow.StoredGrant
			var saved float64
			if err := rows.Scan(&g.Key, &g.Revision, &g.Generation, &g.State, &saved); err != nil {
				return wrap("list", err)
			}
			g.Saved = time.UnixMicro(int64(saved * 1e6))
			page = append(page, g)
		}
		return wrap("list", rows.Err())
	})
	return page, err
}
