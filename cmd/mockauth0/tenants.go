package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"example.com/tokend/pkg/mock"
)

// hosted is one tenant of the process. Its name is "" if it is the only one.
type hosted struct {
	name   string
	files  []string // none: the built-in tenant
	tenant *mock.Tenant
}

var tenantName = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9][A-Za-z0-9_-]*)*\z`)

// hosted returns the tenants of MOCKAUTH0_TENANTS, or the one of MOCKAUTH0_TENANT.
func (s settings) hosted() ([]hosted, error) {
	if len(s.Tenants) == 0 {
		return []hosted{{files: s.Tenant}}, nil
	}
	if len(s.Tenant) > 0 {
		return nil, configError("MOCKAUTH0_TENANT and MOCKAUTH0_TENANTS are both set\nhint: MOCKAUTH0_TENANT is for one tenant; remove one of them")
	}
	var list []hosted
	for _, item := range s.Tenants {
		name, file, named := strings.Cut(item, "=")
		if named {
			list = append(list, hosted{name: name, files: []string{file}})
			continue
		}
		entries, err := os.ReadDir(item)
		if err != nil {
			return nil, configError("MOCKAUTH0_TENANTS: %w\nhint: give NAME=FILE, or a directory with a file for each tenant", err)
		}
		for _, e := range entries {
			if name := strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())); !strings.HasPrefix(name, ".") {
				if e.IsDir() {
					name = e.Name()
				}
				list = append(list, hosted{name: name, files: []string{filepath.Join(item, e.Name())}})
			}
		}
	}
	return list, checkNames(list)
}

func checkNames(list []hosted) error {
	seen := map[string]bool{}
	for _, h := range list {
		switch key := strings.ToLower(h.name); {
		case !tenantName.MatchString(h.name):
			return configError("MOCKAUTH0_TENANTS: %q is not a name of a tenant\nhint: use letters, digits, - and _ for a path; a name with a dot is a host", h.name)
		case seen[key]:
			return configError("MOCKAUTH0_TENANTS: %q is used twice\nhint: give each tenant a name of its own", h.name)
		default:
			seen[key] = true
		}
	}
	if len(list) == 0 {
		return configError("MOCKAUTH0_TENANTS: no tenant\nhint: give NAME=FILE, or a directory with a file for each tenant")
	}
	return nil
}

// openTenants makes the tenants. Each of several has a key of its own, so that none
// accepts the tokens of another.
func (p *program) openTenants(s settings, list []hosted, b base, control []net.Listener, c mock.Config) error {
	for i := range list {
		h := &list[i]
		own := c
		own.Issuer, own.BrowserURL, own.ConsoleURL = b.of(h.name), base(s.BrowserURL).of(h.name), s.consoleURL(control, h.name)
		if h.name != "" {
			k, err := mock.GenerateKey()
			if err != nil {
				return err
			}
			own.Keys = []mock.Key{k}
		}
		t, err := p.newTenant(h.files, own)
		if err != nil {
			return err
		}
		h.tenant = t
	}
	return nil
}

func closeTenants(list []hosted) {
	for _, h := range list {
		h.tenant.Close()
	}
}

// showIssuers logs the issuer of each tenant at a listener.
func (p *program) showIssuers(b base, listener string, list []hosted, note string) {
	of := b
	if b == "" {
		of = base(listener)
		note += ", another issuer by the Host of a request"
	}
	for _, h := range list {
		fmt.Fprintf(p.stderr, "mockauth0: issuer %s, %s\n", of.of(h.name), note)
	}
}

// router serves several tenants on one listener: by the first segment of the path after
// that of the base, or by host.
type router struct {
	byPath, byHost map[string]http.Handler
	root           http.Handler // the control API of the first tenant
	base           base
	names          []string
}

// tenantsAt returns the handler of a listener.
func (p *program) tenantsAt(b base, list []hosted) http.Handler {
	if list[0].name == "" {
		return p.tenantAt(b, "", list[0].tenant)
	}
	r := &router{byPath: map[string]http.Handler{}, byHost: map[string]http.Handler{}, root: list[0].tenant, base: b}
	for _, h := range list {
		handler := p.tenantAt(b, h.name, h.tenant)
		if isHost(h.name) {
			r.byHost[strings.ToLower(h.name)] = handler
		} else {
			r.byPath[h.name] = handler
		}
		r.names = append(r.names, h.name)
	}
	return r
}

// metadataPath is where RFC 8414 section 3.1 puts the metadata of an issuer with a path.
const metadataPath = "/.well-known/oauth-authorization-server"

// ServeHTTP implements http.Handler.
func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if h := rt.byHost[strings.ToLower(host)]; h != nil {
		h.ServeHTTP(w, r)
		return
	}
	root := rt.base.path()
	if issuer, found := strings.CutPrefix(r.URL.Path, metadataPath); found && strings.HasPrefix(issuer, root) && r.URL.RawPath == "" {
		r = r.Clone(r.Context())
		r.URL.Path = strings.TrimSuffix(issuer, "/") + metadataPath
	}
	first, _, below := strings.Cut(strings.TrimPrefix(r.URL.Path, root), "/")
	h := rt.byPath[first]
	switch path := r.URL.Path; {
	case h != nil && below && strings.HasPrefix(path, root):
		h.ServeHTTP(w, r)
	case path == "/_mock/health", path == "/_mock/ca.pem": // of the process
		rt.root.ServeHTTP(w, r)
	case path == "/", path == root:
		mock.ServeIndex(w, r, rt.listed(r))
	default:
		http.Error(w, "no tenant has this host or path; GET / lists the tenants", http.StatusNotFound)
	}
}

// listed returns the tenants as GET / shows them. A link to a path is relative, so that it
// works at each listener.
func (rt *router) listed(r *http.Request) []mock.Listed {
	b := rt.base
	if b == "" {
		b = requestBase(r)
	}
	list := make([]mock.Listed, 0, len(rt.names))
	for _, name := range rt.names {
		l := mock.Listed{Name: name, URL: strings.TrimPrefix(b.path(), r.URL.Path) + name + "/", Issuer: b.of(name)}
		if isHost(name) {
			l.URL = l.Issuer
		}
		list = append(list, l)
	}
	return list
}
