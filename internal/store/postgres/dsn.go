package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/storeurl"
)

const (
	connectLimit = 3 * time.Second // for one host, unless the URL has connect_timeout
	openLimit    = 30 * time.Second
	cancelLimit  = 200 * time.Millisecond // for the database to confirm that it canceled a statement
)

// listenParam is the parameter of the URL with the host and port of the listener's
// connection, for a database behind PgBouncer in transaction mode.
const listenParam = "listen"

// dsn is how to connect.
type dsn struct {
	pool   *pgxpool.Config
	listen *pgx.ConnConfig // of the connection that listens
}

// errReadOnly is the error of a server that accepts no writes, such as a standby.
var errReadOnly = errors.New("the database is read-only")

func parse(raw, password string) (*dsn, error) {
	u, err := storeurl.Parse(raw)
	if err != nil {
		return nil, err
	}
	listenAt, u := u.Param(listenParam)
	d := &dsn{}
	if d.pool, err = pgxpool.ParseConfig(u.DSN()); err != nil {
		return nil, badURL(err)
	}
	if listenAt != "" {
		u = u.AtHost(listenAt)
	}
	listen, err := pgxpool.ParseConfig(u.DSN())
	if err != nil {
		return nil, badURL(err)
	}
	d.listen = listen.ConnConfig
	d.pool.ConnConfig.RuntimeParams["application_name"] = "tokend"
	for _, c := range []*pgx.ConnConfig{d.pool.ConnConfig, d.listen} {
		configure(c, password)
	}
	return d, nil
}

// CheckURL checks a URL and its parameters.
func CheckURL(raw string) error {
	_, err := parse(raw, "")
	return err
}

// configure sets what the statements rely on.
func configure(c *pgx.ConnConfig, password string) {
	if password != "" {
		c.Password = password
	}
	// No prepared statements: PgBouncer may give the next statement another
	// connection.
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.StatementCacheCapacity, c.DescriptionCacheCapacity = 0, 0
	if c.ConnectTimeout == 0 || c.ConnectTimeout > 2*time.Minute { // the driver's default
		c.ConnectTimeout = connectLimit
	}
	// Of several hosts the one that accepts writes.
	c.ValidateConnect = validate
	c.BuildContextWatcherHandler = func(pc *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: pc, DeadlineDelay: cancelLimit}
	}
}

// validate rejects a connection to a server that accepts no writes.
func validate(ctx context.Context, c *pgconn.PgConn) error {
	r := c.ExecParams(ctx, "SHOW transaction_read_only", nil, nil, nil, nil).Read()
	if r.Err != nil {
		return r.Err
	}
	if len(r.Rows) != 1 || string(r.Rows[0][0]) != "off" {
		return errReadOnly
	}
	return nil
}

// badURL returns the driver's error without the URL, which may have a password.
func badURL(err error) error {
	var e *pgconn.ParseConfigError
	if errors.As(err, &e) {
		// What the driver says is after the URL, and names the parameter.
		text := "unknown host or parameter"
		if at := strings.LastIndex(e.Error(), "`: "); at >= 0 {
			text = e.Error()[at+len("`: "):]
		}
		switch cause := errors.Unwrap(e); {
		case cause == nil:
			err = errors.New(text)
		default:
			text, _, _ = strings.Cut(text, " ("+cause.Error())
			err = fmt.Errorf("%s: %w", text, redact(cause))
		}
	}
	return hint.Errorf("use postgres://user@host:5432/database?sslmode=verify-full", "postgres: the URL is not valid: %w", redact(err))
}

// redact returns err unless its text could quote a URL.
func redact(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return fmt.Errorf("%w", err)
}
