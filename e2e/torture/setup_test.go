//go:build unix

package torture_test

import (
	"fmt"
	"os"
	"path/filepath"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// environment is that of a process of a round, with its home in dir.
func environment(dir, issuer string, overlap int) []string {
	return []string{
		"HOME=" + dir, "PATH=" + os.Getenv("PATH"),
		"XDG_STATE_HOME=" + filepath.Join(dir, "state"), "XDG_RUNTIME_DIR=" + filepath.Join(dir, "run"),
		"XDG_CONFIG_HOME=" + filepath.Join(dir, "config"),
		"TOKEND_LISTEN=127.0.0.1:0", "TOKEND_SOCKET=off", "TOKEND_CLIENTS=demo",
		"TOKEND_CLIENT_DEMO_ISSUER=" + issuer, "TOKEND_CLIENT_DEMO_CLIENT_ID=demo",
		"TOKEND_CLIENT_DEMO_CLIENT_SECRET=demo-secret", "TOKEND_CLIENT_DEMO_LOGIN=headless",
		"TOKEND_CLIENT_DEMO_REDIRECT_URI=http://localhost:8484/callback",
		"TOKEND_CLIENT_DEMO_SCOPES=openid,profile,email,offline_access",
		"TOKEND_CLIENT_DEMO_AUDIENCE=https://api.example.com/",
		fmt.Sprintf("TOKEND_CLIENT_DEMO_LEEWAY=%ds", overlap),
	}
}

// newTenant is a tenant that rotates refresh tokens; access tokens live a day.
func newTenant(tb mock.TB, overlap int) *mock.Tenant {
	e := tenant.Default()
	e.Clients[0].RefreshToken = &tenant.RefreshPolicy{
		RotationType: "rotating", ExpirationType: "expiring", TokenLifetime: 2592000, IdleTokenLifetime: 2592000, Leeway: overlap,
	}
	e.ResourceServers[0].TokenLifetime = 86400
	return mock.Start(tb, mock.Config{Tenant: e})
}

// cleanup is the mock.TB of a round, which ends before the test does.
type cleanup struct{ functions []func() }

func (*cleanup) Helper() {}

func (*cleanup) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (c *cleanup) Cleanup(f func()) { c.functions = append(c.functions, f) }

func (c *cleanup) run() {
	for _, f := range c.functions {
		f()
	}
}
