package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"example.com/tokend/pkg/flow"
)

// Processes implements [flow.ProcessLister], by the files that show which processes are
// alive. It returns errors.ErrUnsupported on a system without such locks.
func (s *Store) Processes(context.Context) ([]flow.Process, error) { return s.alive.processes() }

func (a *alive) processes() ([]flow.Process, error) {
	if a == nil || a.unsupported() {
		return nil, fmt.Errorf("sqlite: processes: %w", errors.ErrUnsupported)
	}
	a.mu.Lock()
	own := a.name
	a.mu.Unlock()
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	var found []flow.Process
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !a.lives(e.Name()) { // it has ended
			continue
		}
		p := flow.Process{Since: info.ModTime(), Own: e.Name() == own}
		if b, err := os.ReadFile(filepath.Join(a.dir, e.Name())); err == nil {
			p.ID, _ = strconv.Atoi(strings.TrimSpace(string(b))) // empty: an earlier version of tokend
		}
		found = append(found, p)
	}
	slices.SortFunc(found, func(a, b flow.Process) int { return a.Since.Compare(b.Since) })
	return found, nil
}
