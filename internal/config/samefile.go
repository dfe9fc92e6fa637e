package config

import (
	"path/filepath"
	"strconv"

	"example.com/tokend/internal/storeurl"
)

// checkSameFiles reports a file that tokend is to write for one setting and that another
// setting names: a token over the keyset would cost all grants.
func (l *loader) checkSameFiles(s Config) {
	used := ownFiles{of: map[string]string{}, dirs: map[string]string{}}
	used.add("the configuration", l.file.path)
	if u, err := storeurl.Parse(s.Store); err == nil && u.File() != "" {
		for _, end := range []string{"", "-wal", "-shm", "-journal", ".mark", ".alive"} {
			used.add(l.nameOf("store"), u.File()+end)
		}
	}
	used.add(l.nameOf("store_key_file"), s.KeysetFile)
	used.add(l.nameOf("store_key_file"), s.KeysetFile+".mark")
	used.add(l.nameOf("api_key_file"), s.APIKeyFile)
	used.add(l.nameOf("api_keys_file"), s.APIKeysFile)
	if s.APIKeysFile != "" {
		used.add("the dashboard's key", filepath.Join(filepath.Dir(s.APIKeysFile), "dashboard.key"))
	}
	used.add(l.nameOf("tls_cert_file"), s.TLS.CertFile)
	used.add(l.nameOf("tls_key_file"), s.TLS.KeyFile)
	used.add(l.nameOf("tls_client_ca_file"), s.TLS.ClientCAFile)
	for _, cl := range s.Clients {
		used.add("a client's secret", cl.from.secretFile)
		used.add("a client's assertion", cl.from.assertionFile)
	}
	const advice = "give it a file of its own"
	if s.Audit.File != "" {
		for n := 0; n <= s.Audit.Keep && n <= maxKeep; n++ {
			file := s.Audit.File
			if n > 0 {
				file += "." + strconv.Itoa(n)
			}
			if other := used.find(file); other != "" {
				l.add("audit_file", advice, "%s: %s is the file of %s", l.nameOf("audit_file"), file, other)
			}
		}
		used.add(l.nameOf("audit_file"), s.Audit.File)
	}
	for _, cl := range s.Clients {
		for _, f := range cl.Files {
			if other := used.find(f.Path); other != "" {
				l.add("files", advice, "file of client %s: %s is the file of %s", cl.Name, f.Path, other)
			}
		}
	}
}

// ownFiles are the files that settings name, by their paths without links to directories.
type ownFiles struct {
	of   map[string]string // the setting
	dirs map[string]string // directories without links
}

func (o ownFiles) add(setting, path string) {
	if path != "" {
		o.of[o.real(path)] = setting
	}
}

func (o ownFiles) find(path string) (setting string) { return o.of[o.real(path)] }

func (o ownFiles) real(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	dir := filepath.Dir(abs)
	found, ok := o.dirs[dir]
	if !ok {
		if found, err = filepath.EvalSymlinks(dir); err != nil {
			found = dir // it does not exist yet
		}
		o.dirs[dir] = found
	}
	return filepath.Join(found, filepath.Base(abs))
}
