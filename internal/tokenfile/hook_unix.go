//go:build unix

package tokenfile

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the hook the leader of a process group, which gets
// SIGTERM as a whole when its time is over. end kills what still runs then.
func ownGroup(cmd *exec.Cmd) (end func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	signaled := false
	cmd.Cancel = func() error {
		signaled = true
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	}
	return func() {
		if signaled {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // children of the hook, too
		}
	}
}
