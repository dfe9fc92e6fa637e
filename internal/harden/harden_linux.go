package harden

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Process makes the memory and the environment of this process unreadable for other
// processes of its user, with /proc, ptrace or a core file: see prctl(2),
// PR_SET_DUMPABLE. The user root, and a process with CAP_SYS_PTRACE, can still read
// them. Programs that this process starts are not affected.
func Process() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("harden: PR_SET_DUMPABLE: %w", err)
	}
	return nil
}
