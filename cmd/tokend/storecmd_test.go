package main

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
)

// A value that cannot be opened keeps the former key, and the command says so.
func TestKeyRotate_UnreadableValue(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENT_DEMO_FILE="+filepath.Join(home, "demo"), "TOKEND_LOG_LEVEL=error")
	if o := runTokend(t, "serve", "--once"); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	db, err := sql.Open("sqlite", filepath.Join(home, ".local/state/tokend/tokend.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), `UPDATE grants SET sealed = substr(sealed, 1, 40)`)
	if cerr := db.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	o := runTokend(t, "key", "rotate")
	if o.code != exitUnavailable || !strings.Contains(o.stderr, "1 values cannot be opened, so the former key stays\nhint: log these clients out and in again") {
		t.Errorf("%+v", o)
	}
}

func TestStoreImport_FileCannotBeRead(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENT_DEMO_FILE="+filepath.Join(home, "demo"), "TOKEND_LOG_LEVEL=error")
	if o := runTokend(t, "serve", "--once"); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	path := filepath.Join(home, "demo", "grants") // demo is a file
	if o := runTokend(t, "store", "import", path); o.code != exitConfig || !strings.Contains(o.stderr, path+" cannot be read: not a directory\nhint: name a file that tokend store export wrote") {
		t.Errorf("%+v", o)
	}
}

// A file of a secret that cannot be written is named, with a hint, and nothing is lost: the
// key of another name stays usable, and the grants are not marked as exported.
func TestSecretFile_CannotBeWritten(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_LISTEN=127.0.0.1:0")
	if o := runTokend(t, "token", "demo", "--private"); o.code != exitNoPerm { // it makes the store
		t.Fatalf("%+v", o)
	}
	file := filepath.Join(home, "none", "file")
	for _, command := range [][]string{{"store", "export", file}, {"key", "add", "ci", "--clients", "demo", "--output", file}} {
		o := runTokend(t, command...)
		if o.code != exitUnavailable || !strings.Contains(o.stderr, "error: "+file+" cannot be written: no such file or directory\nhint: ") {
			t.Errorf("%v: %+v", command, o)
		}
	}
	if o := runTokend(t, "key", "list"); strings.Contains(o.stdout, "ci") {
		t.Errorf("%+v", o)
	}
}
