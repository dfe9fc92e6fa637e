package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// ErrUnreachable is the error of [Open] and [Check] for a database that does not
// answer. It may answer later.
var ErrUnreachable = errors.New("the database does not answer")

// do runs an operation, for at most limit. If the connection is lost or the
// database is not ready, it runs it again: so the operation must have the same
// result if an earlier run was committed without this process knowing.
func (s *Store) do(ctx context.Context, op string, f func(ctx context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var cause error // of the run before
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		err := f(limited)
		late := errors.Is(limited.Err(), context.DeadlineExceeded)
		if err == nil && late { // it was cancelled while it waited for a synchronous standby, which may not have it
			err = context.DeadlineExceeded
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled):
			return fmt.Errorf("postgres: %s: %w", op, ctx.Err())
		case limited.Err() != nil:
			return s.timedOut(op, cause, err)
		case errors.Is(err, errFormerKey):
			continue // at once, with the key that seals now
		case !transient(err):
			return wrap(op, err)
		case isReadOnly(err):
			s.pool.Reset() // another host may accept writes
		}
		cause = err
		select {
		case <-limited.Done():
			return s.timedOut(op, cause, err)
		case <-time.After(pause):
		}
	}
}

// timedOut returns the error of an operation whose time has passed: with the
// error of an earlier run, or else of the last one.
func (s *Store) timedOut(op string, cause, err error) error {
	var network net.Error
	switch stat := s.pool.Stat(); {
	case isReadOnly(cause) && !errors.As(cause, &network): // otherwise a host that does not answer may be the primary
		return hint.Errorf(writableHint, "postgres: %s: %w", op, &plainError{text: errReadOnly.Error(), err: errors.Join(ErrUnreachable, errReadOnly)})
	case cause != nil:
		err = plain(cause)
	case stat.AcquiredConns() >= stat.MaxConns():
		return hint.Errorf("raise pool_max_conns in the store's URL, or find what the database is slow with",
			"postgres: %s: all %d connections of the pool were in use for %v", op, stat.MaxConns(), limit)
	case errors.Is(err, context.DeadlineExceeded) || codeOf(err) == "57014":
		err = fmt.Errorf("no answer for %v", limit)
	}
	return hint.Errorf(cmp.Or(tlsHint(err), reachHint), "postgres: %s: %w: %w", op, ErrUnreachable, err)
}

// tlsHint returns what to do about an error of TLS, "" about any other.
func tlsHint(err error) string {
	if strings.Contains(err.Error(), "tls error: ") { // the driver's, for which it has no type
		return "check sslmode, sslrootcert and sslcert of the store's URL, and ssl of the database"
	}
	return ""
}

const reachHint = "check that the database runs and that its host, port and network are right; tokend keeps retrying"

// transient reports whether an error may be over soon: the connection was lost or
// not made, or the database says so.
func transient(err error) bool {
	switch code := codeOf(err); {
	case code == "":
	case strings.HasPrefix(code, "08"), // connection_exception; also PgBouncer's
		code == "57P01", code == "57P02", code == "57P03", // shutting down, crashed, starting up
		code == "53300",                  // too many connections
		code == "40001", code == "40P01", // serialization failure, deadlock
		code == "25006": // read-only: demoted
		return true
	default:
		return false
	}
	if isReadOnly(err) {
		return true
	}
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connect) || pgconn.SafeToRetry(err) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func isReadOnly(err error) bool { return errors.Is(err, errReadOnly) || codeOf(err) == "25006" }

// codeOf returns the code of an error that the database has reported, or "".
func codeOf(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// plain returns err with the database's own text, on one line.
func plain(err error) error {
	var e *pgconn.PgError
	switch {
	case isReadOnly(err):
		return errReadOnly
	case errors.As(err, &e):
		return &plainError{text: fmt.Sprintf("%s (%s)", e.Message, e.Code), err: err}
	default:
		return &plainError{text: oneLine(err.Error()), err: err}
	}
}

// plainError is an error with another text.
type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.err }

func oneLine(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "; ")
}

// wrap names the operation, and turns the codes for damage and for missing tables
// into the errors of pkg/flow.
func wrap(op string, err error) error {
	switch code := codeOf(err); {
	case err == nil:
		return nil
	case hint.Of(err) != "", errors.Is(err, flow.ErrCorrupt), errors.Is(err, flow.ErrConflict),
		errors.Is(err, flow.ErrLocked), errors.Is(err, flow.ErrNotFound): // not the database's
		return err
	case isReadOnly(err):
		return hint.Errorf(writableHint, "postgres: %s: %w", op, errReadOnly)
	case code == "42P01", code == "42703": // undefined table, undefined column
		return replaced("has no tables of this program any more", restart)
	case code == "XX001", code == "XX002": // data corrupted, index corrupted
		return damaged(plain(err).Error())
	case code == "42501":
		return hint.Errorf(rightsHint, "postgres: %s: %w", op, plain(err))
	case strings.HasPrefix(code, "28"), code == "3D000":
		return hint.Errorf("check user and database of the store's URL, and the password (TOKEND_STORE_PASSWORD_FILE or PGPASSFILE)", "postgres: %s: %w", op, plain(err))
	}
	return fmt.Errorf("postgres: %s: %w", op, plain(err))
}

const (
	restart      = "restart tokend"
	writableHint = "name the primary, or all hosts: postgres://host1,host2/database; set default_transaction_read_only to off"
	rightsHint   = "let the user own the tables, or: GRANT SELECT, INSERT, UPDATE, DELETE ON tokend_meta, tokend_shards, tokend_grants, tokend_logins TO the user"
)

// opening returns the error of Open or Check: with ErrUnreachable if the database
// may answer later.
func opening(err error) error {
	var network net.Error
	switch {
	case err == nil:
		return nil
	case isReadOnly(err) && !errors.As(err, &network): // otherwise a host that does not answer may be the primary
		return wrap("open", err)
	case errors.Is(err, context.DeadlineExceeded), transient(err):
		return hint.Errorf(cmp.Or(tlsHint(err), "check that the database runs and that the host, the port and the network are right"),
			"postgres: %w: %w", ErrUnreachable, plain(err))
	}
	if err = wrap("open", err); hint.Of(err) == "" {
		return hint.Errorf("check the parameters of the store's URL", "%w", err)
	}
	return err
}

func replaced(what, hints string) error {
	return hint.Errorf(hints, "postgres: the database %s: %w", what, flow.ErrReplaced)
}

func damaged(why string) error {
	return hint.Errorf("restore a backup, or use another database and log in again; nothing was changed",
		"postgres: the tables are damaged: %s: %w", why, flow.ErrCorrupt)
}
