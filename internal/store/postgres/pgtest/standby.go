package pgtest

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// Standby starts a hot standby of c that ends with the test.
func (c *Cluster) Standby(t testing.TB) *Cluster {
	t.Helper()
	s := &Cluster{bin: c.bin, as: c.as}
	var err error
	if s.dir, err = os.MkdirTemp("", "pgtest-"); err == nil {
		s.Port, err = freePort()
	}
	if err == nil && s.as != nil {
		err = os.Chown(s.dir, int(s.as.Uid), int(s.as.Gid))
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.command("pg_basebackup", "-h", c.dir, "-p", strconv.Itoa(c.Port), "-U", superuser, "-D", s.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync").CombinedOutput()
	if err == nil {
		err = s.Resume()
	}
	if err != nil {
		t.Fatal(errors.Join(fmt.Errorf("standby: %w\n%s", err, out), os.RemoveAll(s.dir)))
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Promote makes a standby accept writes.
func (c *Cluster) Promote(t testing.TB) {
	t.Helper()
	if out, err := c.command("pg_ctl", "promote", "-w", "-s", "-D", c.data()).CombinedOutput(); err != nil {
		t.Fatalf("promote: %v\n%s", err, out)
	}
}
