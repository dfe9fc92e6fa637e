// Package tenantfile reads the description of a mock tenant from files in the
// forms that auth0-deploy-cli exports: tenant.yaml, or a directory of JSON
// files. Start with [Load].
package tenantfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// Result is a tenant that was read.
type Result struct {
	Tenant  *tenant.File
	Ignored []string // one line each: what is not emulated, and what that means

	places func() map[string]place // "clients[3]" → where it stands
}

// place is where an object stands.
type place struct {
	file     string
	node     ast.Node
	reported bool // Load has already reported what is wrong with it
}

// Load reads one tenant from files and directories, whose lists are joined.
// mappings are auth0-deploy-cli's keyword replacements (AUTH0_KEYWORD_REPLACE_MAPPINGS).
// Every fault of every file is in the error, each with file and line. What is
// amiss between objects is told once all of them can be read.
func Load(paths []string, mappings map[string]any) (*Result, error) {
	l := read(paths, mappings, false)
	r := &Result{Tenant: l.tenant, Ignored: append(l.describeIgnored(), unserved(l.tenant)...), places: func() map[string]place {
		return read(paths, mappings, true).places // only a fault needs them
	}}
	if len(l.faults) == 0 {
		return r, nil
	}
	if !l.partial {
		if _, err := mock.New(mock.Config{Tenant: l.tenant}); err != nil { // what else is wrong
			l.faults = append(l.faults, r.Explain(err))
		}
	}
	return nil, errors.Join(l.faults...)
}

func read(paths []string, mappings map[string]any, slow bool) *loader {
	l := &loader{
		tenant: &tenant.File{}, places: map[string]place{}, mappings: mappings, ignored: map[string][]string{}, slow: slow,
	}
	for _, p := range paths {
		l.path(p)
	}
	return l
}

// Explain puts the file and line before every fault that [mock.New] found in
// the export. Of an object whose members have the wrong types [Load] has told.
func (r *Result) Explain(err error) error {
	found := tenant.FieldErrors(err)
	if len(found) == 0 {
		return err
	}
	places := r.places()
	var out []error
	for _, e := range found {
		switch p, inFile := places[e.Object]; {
		case p.reported:
		case inFile:
			out = append(out, fmt.Errorf("%s:%d: %w", p.file, lineOf(p.node, e.Field), e))
		default:
			out = append(out, e)
		}
	}
	return errors.Join(out...)
}

// loader collects the parts of a tenant, its faults and what it ignored.
type loader struct {
	tenant   *tenant.File
	places   map[string]place // with slow alone: they hold the whole text
	slow     bool             // look at lines even where JSON could be read without
	mappings map[string]any
	faults   []error
	partial  bool                // objects are missing, so others may refer to nothing
	ignored  map[string][]string // what → where, in order of appearance
	typos    []string            // a line each
}

// unread is a fault that takes objects away: a file, a section or an object
// that cannot be read.
func (l *loader) unread(file string, line int, format string, args ...any) {
	l.partial = true
	l.fault(file, line, format, args...)
}

func (l *loader) fault(file string, line int, format string, args ...any) {
	at := file
	if line > 0 {
		at = fmt.Sprintf("%s:%d", file, line)
	}
	l.faults = append(l.faults, fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...)))
}

// path reads a file, or a directory in the export's layout.
func (l *loader) path(path string) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		l.unread(path, 0, "%v", reason(err))
	case !info.IsDir():
		l.file(path, "")
	default:
		l.directory(path)
	}
}

// layout is auth0-deploy-cli's directory layout: folder → section.
var layout = []struct{ folder, section string }{
	{"clients", "clients"},
	{"resource-servers", "resourceServers"},
	{"grants", "clientGrants"},
	{"roles", "roles"},
	{"organizations", "organizations"},
	{"database-connections/*", "databases"},
	{"users", "users"},
	{"x-actions", "x-actions"},
}

func (l *loader) directory(dir string) {
	found := false
	for _, name := range []string{"tenant.yaml", "tenant.yml", "tenant.json"} {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err == nil {
			found = true
			section := ""
			if name == "tenant.json" {
				section = "tenant"
			}
			l.file(file, section)
		}
	}
	known := []string{}
	for _, part := range layout {
		known = append(known, strings.TrimSuffix(part.folder, "/*"))
		files, err := filepath.Glob(filepath.Join(dir, part.folder, "*.json"))
		if err != nil {
			l.fault(dir, 0, "%v", err)
		}
		if part.section == "databases" {
			files = slices.DeleteFunc(files, func(f string) bool { return filepath.Base(f) != "database.json" })
		}
		for _, f := range files {
			found = true
			l.file(f, part.section)
		}
	}
	if !found {
		l.unread(dir, 0, "the directory has neither tenant.yaml nor the folders of an auth0-deploy-cli export")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		l.unread(dir, 0, "%v", reason(err))
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(known, e.Name()) {
			l.ignore(camel(e.Name()), filepath.Join(dir, e.Name()))
		}
	}
}

// camel turns a folder's name into its section's: email-templates → emailTemplates.
func camel(folder string) string {
	parts := strings.Split(folder, "-")
	for i, p := range parts[1:] {
		if p != "" {
			parts[i+1] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, "")
}

func reason(err error) error {
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
