// Package tenantfile reads a mock tenant from the files that auth0-deploy-cli exports:
// tenant.yaml, or a directory of JSON files. Start with [Load].
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

// Result is the tenant of the files.
type Result struct {
	Tenant  *tenant.File
	Ignored []string // one line for each thing that the mock ignores

	places func() map[string]place // by object, as in "clients[3]"
}

// place is where an object is in the files.
type place struct {
	file     string
	node     ast.Node
	reported bool // Load has already reported what is wrong with it
}

// Options change how [Load] reads the files.
type Options struct {
	Mappings map[string]any // auth0-deploy-cli's keyword replacements (AUTH0_KEYWORD_REPLACE_MAPPINGS)
	Lax      bool           // ignore settings with which a real tenant refuses what the mock allows, instead of an error
}

// Load reads one tenant from files and directories and joins their lists. The error
// lists everything that is wrong, with file and line. Load checks references between
// objects only if it can read all objects.
func Load(paths []string, o Options) (*Result, error) {
	l := read(paths, o, false)
	r := &Result{Tenant: l.tenant, Ignored: l.describeIgnored(), places: func() map[string]place {
		return read(paths, o, true).places // needed for errors only
	}}
	if len(l.errs) == 0 {
		return r, nil
	}
	if !l.partial {
		if _, err := mock.New(mock.Config{Tenant: l.tenant}); err != nil { // also report what the tenant does not accept
			l.errs = append(l.errs, r.Explain(err))
		}
	}
	return nil, errors.Join(l.errs...)
}

func read(paths []string, o Options, slow bool) *loader {
	l := &loader{
		Options: o, tenant: &tenant.File{}, places: map[string]place{}, ignored: map[string][]string{}, slow: slow,
		inspector: tenant.NewInspector(), unused: map[string]tenant.Finding{},
	}
	for _, p := range paths {
		l.path(p)
	}
	return l
}

// Explain adds file and line to the errors of [mock.New]. It leaves out objects with
// members of a wrong type, which [Load] reports.
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
			out = append(out, fmt.Errorf("%s:%d: %w", p.file, lineOf(p.node, strings.Split(e.Field, ".")...), e))
		default:
			out = append(out, e)
		}
	}
	return errors.Join(out...)
}

// loader collects the objects of a tenant, errors, and what it ignores.
type loader struct {
	Options
	tenant    *tenant.File
	places    map[string]place // only with slow, because they keep the whole text in memory
	export    bool             // the file that is read was written by mockauth0 export
	slow      bool             // record the lines of a JSON file too
	errs      []error
	partial   bool                // an object is missing, so references to it are not errors
	ignored   map[string][]string // name → places, in order
	typos     []string            // one line each
	inspector *tenant.Inspector
	unused    map[string]tenant.Finding // members that the mock does not use, by their line in the report
}

// unread reports a file, a section or an object that cannot be read.
func (l *loader) unread(file string, line int, format string, args ...any) {
	l.partial = true
	l.report(file, line, format, args...)
}

func (l *loader) report(file string, line int, format string, args ...any) {
	at := file
	if line > 0 {
		at = fmt.Sprintf("%s:%d", file, line)
	}
	l.errs = append(l.errs, fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...)))
}

// path reads a file or a directory.
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

// layout maps the folders of auth0-deploy-cli's directory layout to sections.
var layout = []struct{ folder, section string }{
	{"clients", "clients"},
	{"resource-servers", "resourceServers"},
	{"grants", "clientGrants"},
	{"roles", "roles"},
	{"organizations", "organizations"},
	{"database-connections/*", "databases"},
	{"connections", "connections"},
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
			l.report(dir, 0, "%v", err)
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
		l.unread(dir, 0, "the directory is not an auth0-deploy-cli export: it has neither tenant.yaml nor folders like clients")
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

// camel returns the section of a folder: emailTemplates for email-templates.
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
