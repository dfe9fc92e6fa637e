package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"example.com/tokend/internal/store/sqlite"
)

// The processes that have the database open are listed until they end.
func TestProcesses_Listed(t *testing.T) {
	path, keys := filepath.Join(t.TempDir(), "tokend.db"), newKeys(t)
	s := open(t, path, sqlite.Options{Sealer: keys})
	list, err := s.Processes(t.Context())
	if err != nil || len(list) != 1 || !list[0].Own || list[0].ID != os.Getpid() || list[0].Since.IsZero() {
		t.Fatalf("%+v, %v", list, err)
	}
	cmd, out, _ := child(t, childTask{Path: path, Keys: keysText(t, keys)})
	if line, err := out.ReadString('\n'); err != nil { // it has saved
		t.Fatalf("child: %q, %v", line, err)
	}
	list, err = s.Processes(t.Context())
	if err != nil || len(list) != 2 || !list[0].Own || list[1].Own || list[1].ID != cmd.Process.Pid {
		t.Errorf("with process %d: %+v, %v", cmd.Process.Pid, list, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if list, err = s.Processes(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("after its end: %+v, %v", list, err)
	}
}

func TestProcesses_InMemory_Unsupported(t *testing.T) {
	s := open(t, ":memory:", sqlite.Options{Sealer: newKeys(t)})
	if list, err := s.Processes(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%+v, %v", list, err)
	}
}
