//go:build unix

package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cpuTime is what this process has used of the processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkConfigCheck loads a configuration file of 5,000 clients, as config
// check does.
func BenchmarkConfigCheck(b *testing.B) {
	home := b.TempDir()
	secret := filepath.Join(home, "secret")
	var file strings.Builder
	file.WriteString("clients:\n")
	for i := range 5000 {
		fmt.Fprintf(&file, "  client-%d:\n    issuer: https://acme.eu.auth0.com/\n    client_id: id-%d\n    grant: client_credentials\n    client_secret_file: %s\n    audience: https://api.example.com/\n", i, i, secret)
	}
	write(b, secret, canarySecret, 0o600)
	config := filepath.Join(home, "tokend.yaml")
	write(b, config, file.String(), 0o600)
	env := environ(b, "HOME="+home, "TOKEND_CONFIG="+config)
	before := cpuTime()
	for b.Loop() {
		s, faults := Load(env, DefaultPaths(env))
		if faults != nil || len(s.Clients) != 5000 {
			b.Fatal(faults)
		}
	}
	b.ReportMetric((cpuTime()-before).Seconds()/float64(b.N), "cpu-s/op")
}
