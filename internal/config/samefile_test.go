package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that tokend writes for one setting is of no other one: a token or an audit entry in
// the database or the keyset would cost all grants.
func TestSameFile(t *testing.T) {
	home := t.TempDir()
	state := filepath.Join(home, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(state, filepath.Join(home, "link")); err != nil {
		t.Fatal(err)
	}
	secret := write(t, filepath.Join(home, "secret"), canarySecret, 0o600)
	common := "store: sqlite:" + state + "/t.db\napi_key_file: " + write(t, filepath.Join(home, "api.key"), canaryKey, 0o600) + "\n"
	client := goodFile + "    client_secret_file: " + secret + "\n"
	for name, c := range map[string]struct{ path, of string }{
		"database":        {state + "/t.db", "store"},
		"its log":         {state + "/t.db-wal", "store"},
		"keyset":          {state + "/keyset.json", "TOKEND_STORE_KEY_FILE"},
		"over a link":     {home + "/link/keyset.json", "TOKEND_STORE_KEY_FILE"},
		"API key":         {home + "/api.key", "api_key_file"},
		"API keys":        {state + "/api-keys.json", "TOKEND_API_KEYS_FILE"},
		"client's secret": {secret, "a client's secret"},
	} {
		t.Run(name, func(t *testing.T) {
			for setting, text := range map[string]string{
				"audit_file":          "audit_file: " + c.path + "\n",
				"file of client demo": "files: [{client: demo, path: " + c.path + "}]\n",
			} {
				home, _ := homeWith(t, client+common+text)
				_, faults := loadAt(t, home)
				if got := faults.Error(); len(faults) != 1 || !strings.Contains(got, setting+": "+c.path+" is the file of "+c.of+"; hint: ") {
					t.Errorf("%s: %v", setting, faults)
				}
			}
		})
	}
	for text, want := range map[string]string{
		"audit_file: HOME/a\nfiles: [{client: demo, path: HOME/a}]\n": "is the file of audit_file",
		"audit_file: HOME/api\napi_keys_file: HOME/api.2\n":           "HOME/api.2 is the file of api_keys_file",
		"audit_file: HOME/a\nfiles: [{client: demo, path: HOME/t}]\n": "",
	} {
		at, _ := homeWith(t, client+common+strings.ReplaceAll(text, "HOME", home))
		if _, faults := loadAt(t, at); (len(faults) > 0) != (want != "") || !strings.Contains(faults.Error(), strings.ReplaceAll(want, "HOME", home)) {
			t.Errorf("%s: %v", text, faults)
		}
	}
}
