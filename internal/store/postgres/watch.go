package postgres

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	listenPause    = 200 * time.Millisecond // after the connection was lost; doubled up to
	listenPauseMax = 15 * time.Second
	heartbeat      = 15 * time.Second // without a notification, until one is sent to see whether it arrives
	heartbeatLimit = 5 * time.Second
	unheard        = time.Minute // how often any grant may have changed, while no notification arrives
)

// errDeaf is the error of a connection that gets no notifications, as through
// PgBouncer in transaction mode.
var errDeaf = errors.New("no notification arrives on the listener's connection: behind PgBouncer in transaction mode, set listen=HOST:PORT of the database in the store's URL")

// channel is the name for notifications of this store, because several stores can
// be in one database.
func (s *Store) channel() string { return "tokend_" + s.id }

// Watch implements flow.Watcher by LISTEN, on a connection of its own.
func (s *Store) Watch(ctx context.Context, changed func(key string)) error {
	var reported time.Time // that any grant may have changed, without a notification
	for pause := listenPause; ctx.Err() == nil; pause = min(2*pause, listenPauseMax) {
		heard, err := s.listen(ctx, changed)
		if ctx.Err() != nil {
			break
		}
		s.watching.Store(&watchState{err: plain(err)})
		if heard {
			pause = listenPause
		} else if time.Since(reported) >= unheard && s.beat(ctx) == nil { // the database works, others may change it
			changed("")
			reported = time.Now()
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	s.watching.Store(nil)
	return nil
}

// watchState is the state of Watch.
type watchState struct{ err error }

// WatchError returns why changes of other processes are not reported at the
// moment, or nil.
func (s *Store) WatchError() error {
	if w := s.watching.Load(); w != nil && w.err != nil {
		return fmt.Errorf("postgres: listen: %w", w.err)
	}
	return nil
}

// listen listens until the connection is lost. It reports whether notifications
// arrived.
func (s *Store) listen(ctx context.Context, changed func(key string)) (heard bool, err error) {
	connectCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := pgx.ConnectConfig(connectCtx, s.listenConfig())
	if err != nil {
		return false, err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = c.Close(closing) // it may be lost already
	}()
	if _, err := c.Exec(connectCtx, "LISTEN "+pgx.Identifier{s.channel()}.Sanitize()); err != nil {
		return false, err
	}
	// Only a notification from another connection shows that they arrive.
	if err := s.beat(ctx); err != nil {
		return false, err
	}
	wait := heartbeatLimit
	for beating := true; ; {
		n, err := waitFor(ctx, c, wait)
		switch {
		case err == nil:
			if !heard {
				heard = true
				s.watching.Store(&watchState{})
				changed("") // changes before LISTEN were not notified
			}
			if question, ok := strings.CutPrefix(n.Payload, askPayload); ok {
				if err := s.answer(ctx, question); err != nil {
					return heard, err
				}
			} else {
				s.heard(n.Payload, changed)
			}
			beating, wait = false, heartbeat
		case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
			return heard, err
		case beating:
			return heard, errDeaf
		default:
			if err := s.beat(ctx); err != nil {
				return heard, err
			}
			beating, wait = true, heartbeatLimit
		}
	}
}

func waitFor(ctx context.Context, c *pgx.Conn, d time.Duration) (*pgconn.Notification, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	n, err := c.WaitForNotification(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return n, err
}

const beatPayload = "beat"

// beat notifies all listeners of this store from a connection of the pool.
func (s *Store) beat(ctx context.Context) error {
	return s.do(ctx, "notify", func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `SELECT pg_notify($1::text, $2::text)`, s.channel(), beatPayload)
		return err
	})
}

// heard reads a notification: shard, count, and the key in base64; or nothing, if
// any grant may have changed. Every process knows the counts of all saves in this
// way, and so notices if one is lost in a failover.
func (s *Store) heard(payload string, changed func(key string)) {
	if payload == beatPayload {
		return
	}
	f := strings.Split(payload, " ")
	if len(f) != 3 {
		changed("")
		return
	}
	shard, err := strconv.Atoi(f[0])
	saves, err2 := strconv.ParseInt(f[1], 10, 64)
	key, err3 := base64.RawStdEncoding.DecodeString(f[2])
	if errors.Join(err, err2, err3) != nil || shard < 0 || shard >= shards {
		changed("")
		return
	}
	s.note(shard, saves)
	changed(string(key))
}
