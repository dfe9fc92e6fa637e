package postgres

import (
	"context"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/tokend/pkg/flow"
)

// listPage is how many rows List reads at once.
const listPage = 1000

// List implements flow.Lister. Between two pages it uses no connection.
func (s *Store) List(ctx context.Context) iter.Seq2[flow.StoredGrant, error] {
	return func(yield func(flow.StoredGrant, error) bool) {
		for after := []byte{}; ; {
			page, last, err := s.listAfter(ctx, after)
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
			after = last
		}
	}
}

// listAfter returns the next page after the id of a row, and the id of its last row.
func (s *Store) listAfter(ctx context.Context, after []byte) (page []flow.StoredGrant, last []byte, err error) {
	err = s.do(ctx, "list", func(ctx context.Context) error {
		page = nil
		rows, err := s.pool.Query(ctx, `SELECT id, key, revision, generation, state, saved FROM tokend_grants
			WHERE sealed IS NOT NULL AND id > $1::bytea ORDER BY id LIMIT $2::int`, after, listPage)
		if err != nil {
			return err
		}
		var key []byte
		var state string
		var saved time.Time
		var g flow.StoredGrant
		_, err = pgx.ForEachRow(rows, []any{&last, &key, &g.Revision, &g.Generation, &state, &saved}, func() error {
			g.Key, g.State, g.Saved = string(key), flow.GrantState(state), saved
			page = append(page, g)
			return nil
		})
		return err
	})
	return page, last, err
}
