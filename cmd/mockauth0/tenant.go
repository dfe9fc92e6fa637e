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

// newTenant makes the tenant of the settings.
func (p *program) newTenant(s settings, log *slog.Logger) (*mock.Tenant, error) {
	c := s.config()
	c.Log, c.Public, c.Lax = log, p.public, p.lax
	file, err := p.loadTenant(s)
	if err != nil {
		return nil, err
	}
	if file != nil {
		c.Tenant = file.Tenant
	}
	if s.TLSListen != "" {
		if c.CA, err = s.authority(); err != nil {
			return nil, err
		}
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
func (p *program) loadTenant(s settings) (*tenantfile.Result, error) {
	if len(s.Tenant) == 0 {
		return nil, nil //nolint:nilnil // the built-in tenant
	}
	mappings := map[string]any{}
	if raw := os.Getenv("AUTH0_KEYWORD_REPLACE_MAPPINGS"); raw != "" {
		if err := json.Unmarshal([]byte(raw), &mappings); err != nil {
			return nil, configError("AUTH0_KEYWORD_REPLACE_MAPPINGS is not a JSON object: %w", err)
		}
	}
	file, err := tenantfile.Load(s.Tenant, tenantfile.Options{Mappings: mappings, Lax: p.lax})
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
	if len(p.tenant) > 0 {
		setting = "--tenant"
	}
	return configError("the tenant is not valid:\n%w\nhint: correct the files of %s; see examples/tenant for a complete one", err, setting)
}

// reloadOnHangup reads the tenant files again at each SIGHUP. Files that are not valid
// change nothing.
func (p *program) reloadOnHangup(ctx context.Context, s settings, t *mock.Tenant) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
		}
		file, err := p.loadTenant(s)
		switch {
		case err == nil && file == nil:
			err = errors.New("no tenant file is set (MOCKAUTH0_TENANT)")
		case err == nil:
			err = file.Explain(t.Reload(file.Tenant))
		}
		if err != nil {
			fmt.Fprintf(p.stderr, "mockauth0: not reloaded; the tenant is unchanged: %v\n", err)
			continue
		}
		fmt.Fprintf(p.stderr, "mockauth0: reloaded %s\n", strings.Join(s.Tenant, ", "))
		p.showClients(t)
	}
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
