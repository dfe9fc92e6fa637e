package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/tokend/pkg/flow"
)

const (
	maxName      = 63 // bytes of application_name that PostgreSQL keeps
	maxProcesses = 200
)

// processName returns the application_name of the listener's connection. It names the
// store, because several may be in one database, the process, by an id of its own, because
// the process id in each container is 1, and the host.
func processName(store, host string, pid int) string {
	var own [3]byte
	_, _ = rand.Read(own[:]) // never fails
	name := processPrefix(store) + hex.EncodeToString(own[:]) + " " + strconv.Itoa(pid) + " "
	return name + shortened(host, maxName-len(name))
}

// processPrefix begins the names of the processes of a store.
func processPrefix(store string) string { return "tokend " + store[:min(len(store), 6)] + "-" }

// shortened returns a host name of at most n bytes. What tells hosts apart may be at its
// beginning or, as in the name of a pod, at its end. PostgreSQL takes ASCII only.
func shortened(host string, n int) string {
	host = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '?'
		}
		return r
	}, host)
	if len(host) <= n {
		return host
	}
	begin := (n - 1) / 2
	return host[:begin] + "~" + host[len(host)-(n-1-begin):]
}

// listenConfig returns how the listener connects: under the name of this process.
func (s *Store) listenConfig() *pgx.ConnConfig {
	c := s.dsn.listen.Copy()
	c.RuntimeParams["application_name"] = s.name
	return c
}

// nameProcess sets the name of this process.
func (s *Store) nameProcess() {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	s.name = processName(s.id, host, os.Getpid())
}

// Processes implements [flow.ProcessLister]: those whose listener is connected. Each user
// of the database sees the names of all connections; only who may see more gets the time
// of those of another user.
func (s *Store) Processes(ctx context.Context) ([]flow.Process, error) {
	var found []flow.Process
	err := s.do(ctx, "processes", func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, `
			SELECT application_name, min(backend_start) FROM pg_stat_activity
			WHERE datname = current_database() AND starts_with(application_name, $1::text)
			GROUP BY application_name ORDER BY 2, 1 LIMIT $2::int`, processPrefix(s.id), maxProcesses)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (flow.Process, error) {
			var name string
			var since *time.Time
			err := row.Scan(&name, &since)
			p := parseProcess(name)
			if p.Own = name == s.name; since != nil {
				p.Since = *since
			}
			return p, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("processes: %w", err)
	}
	return found, nil
}

// parseProcess reads a name. Another program may have set it.
func parseProcess(name string) (p flow.Process) {
	f := strings.SplitN(name, " ", 4)
	if len(f) == 4 {
		p.Host = f[3]
		p.ID, _ = strconv.Atoi(f[2]) // 0: unknown
	}
	return p
}
