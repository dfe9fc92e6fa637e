package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tokend/internal/audit"
)

// A page whose source cannot be read says why.
func TestDashboard_PagesSayWhatCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	trail, err := audit.Open(audit.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = trail.Close() }()
	d := start(t, Config{
		Clients: []Client{kept(t, newTenant(t), "demo")}, Audit: trail,
		Settings: func() ([]Setting, error) { return nil, errors.New("tokend.yaml:7: the file is broken") },
	})
	b := d.browse(t, mainKey)
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	for page, want := range map[string]string{
		"/dashboard/configuration": "tokend.yaml:7: the file is broken",
		"/dashboard/audit":         "not a regular file",
	} {
		if a := b.get(t, page); a.StatusCode != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d without %q\n%s", page, a.StatusCode, want, a.body)
		}
	}
}
