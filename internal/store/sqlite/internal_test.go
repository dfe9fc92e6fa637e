package sqlite

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

type noSeal struct{}

func (noSeal) Seal(plain []byte, _ ...string) ([]byte, error)  { return plain, nil }
func (noSeal) Open(sealed []byte, _ ...string) ([]byte, error) { return sealed, nil }

// TestSecondDatabaseLoses is the moment in which another process has made the
// database since this one looked.
func TestSecondDatabaseLoses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokend.db")
	s := &Store{seal: noSeal{}, skew: func() time.Duration { return 0 }}
	var first os.FileInfo
	for range 2 {
		if err := s.make(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = fi
		}
		if !os.SameFile(fi, first) {
			t.Error("the first database was replaced")
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("files %v (%v), want the database alone", entries, err)
	}
}

// TestPingWrites: a database that can only be read is not ready.
func TestPingWrites(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "tokend.db"), Options{Sealer: noSeal{}})
	if err != nil {
		t.Fatal(err)
	}
	for query, ready := range map[string]bool{"PRAGMA query_only = 1": false, "PRAGMA query_only = 0": true} {
		if _, err := s.db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
		if err := s.Ping(t.Context()); (err == nil) != ready {
			t.Errorf("%s: Ping = %v", query, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCommitsAreDurable: with less than FULL the log is not synced at commit,
// and a power cut takes back what Save has returned for.
func TestCommitsAreDurable(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "tokend.db"), Options{Sealer: noSeal{}})
	if err != nil {
		t.Fatal(err)
	}
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "page_size": "4096"} {
		var got string
		if err := s.db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s (%v), want %s", pragma, got, err, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
