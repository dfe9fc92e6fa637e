package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"example.com/tokend/internal/tenantfile"
	"example.com/tokend/pkg/mock"
)

// tenantConfig returns what all tenants of the process have in common.
func (p *program) tenantConfig(s settings, log *slog.Logger) (mock.Config, error) {
	c := s.config()
	c.Log, c.Public, c.Lax = log, p.public, p.lax
	if s.TLSListen == "" {
		return c, nil
	}
	var err error
	c.CA, err = s.authority()
	return c, err
}

// newTenant makes the tenant of some files.
func (p *program) newTenant(files []string, c mock.Config) (*mock.Tenant, error) {
	file, err := p.loadTenant(files)
	if err != nil {
		return nil, err
	}
	if file != nil {
		c.Tenant = file.Tenant
	}
	t, err := mock.New(c)
	switch {
	case err != nil && file != nil:
		return nil, p.tenantError(file.Explain(err))
	case err != nil:
		return nil, configError("%w", err)
	}
	return t, nil
}

// showClients logs the client_id of each client, which exports leave out. The control
// API shows the secrets.
func (p *program) showClients(t *mock.Tenant) {
	for _, c := range t.Clients() {
		fmt.Fprintf(p.stderr, "mockauth0: client %q has client_id %s\n", c.Name, c.ClientID)
	}
	fmt.Fprintln(p.stderr, "mockauth0: GET /_mock/clients shows their secrets, GET /_mock/users the users")
}

// loadTenant reads the tenant files and logs what the mock ignores. It returns nil for
// the built-in tenant.
func (p *program) loadTenant(files []string) (*tenantfile.Result, error) {
	if len(files) == 0 {
		return nil, nil //nolint:nilnil // the built-in tenant
	}
	mappings := map[string]any{}
	if raw := os.Getenv("AUTH0_KEYWORD_REPLACE_MAPPINGS"); raw != "" {
		if err := json.Unmarshal([]byte(raw), &mappings); err != nil {
			return nil, configError("AUTH0_KEYWORD_REPLACE_MAPPINGS is not a JSON object: %w", err)
		}
	}
	file, err := tenantfile.Load(files, tenantfile.Options{Mappings: mappings, Lax: p.lax})
	if err != nil {
		return nil, p.tenantError(err)
	}
	for _, line := range file.Ignored {
		fmt.Fprintf(p.stderr, "mockauth0: ignored: %s\n", line)
	}
	notes := file.Tenant.Notes()
	for _, line := range notes {
		fmt.Fprintf(p.stderr, "mockauth0: %s\n", line)
	}
	file.Tenant.Ignored = slices.Concat(file.Ignored, notes)
	return file, nil
}

// tenantError adds which setting names the files.
func (p *program) tenantError(err error) error {
	setting := "MOCKAUTH0_TENANT"
	switch {
	case len(p.tenant) > 0:
		setting = "--tenant"
	case p.several:
		setting = "MOCKAUTH0_TENANTS"
	}
	return configError("the tenant is not valid:\n%w\nhint: correct the files of %s; see examples/tenant for a complete one", err, setting)
}

// reloadOnHangup reads the tenant files again at each SIGHUP. Files that are not valid
// change nothing.
func (p *program) reloadOnHangup(ctx context.Context, list []hosted) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
		}
		for _, h := range list {
			p.reload(h)
		}
	}
}

func (p *program) reload(h hosted) {
	file, err := p.loadTenant(h.files)
	switch {
	case err == nil && file == nil:
		err = errors.New("no tenant file is set (MOCKAUTH0_TENANT)")
	case err == nil:
		err = file.Explain(h.tenant.Reload(file.Tenant))
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "mockauth0: not reloaded; the tenant is unchanged: %v\n", err)
		return
	}
	fmt.Fprintf(p.stderr, "mockauth0: reloaded %s\n", strings.Join(h.files, ", "))
	p.showClients(h.tenant)
}

// authority returns the CA of the files, or a new one.
func (s settings) authority() (*mock.CA, error) {
	if s.CACertFile == "" {
		return mock.NewCA()
	}
	cert, err := os.ReadFile(s.CACertFile)
	if err != nil {
		return nil, configError("MOCKAUTH0_CA_CERT_FILE: %w", err)
	}
	key, err := os.ReadFile(s.CAKeyFile)
	if err != nil {
		return nil, configError("MOCKAUTH0_CA_KEY_FILE: %w", err)
	}
	ca, err := mock.LoadCA(cert, key)
	if err != nil {
		return nil, configError("MOCKAUTH0_CA_CERT_FILE, MOCKAUTH0_CA_KEY_FILE: %w", err)
	}
	return ca, nil
}
