//go:build unix

package tokenfile

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the hook the leader of a process group, which is told to end
// as a whole when its time is over. end removes what has not ended by then.
func ownGroup(cmd *exec.Cmd) (end func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	told := false
	cmd.Cancel = func() error {
		told = true
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	}
	return func() {
		if told {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // nobody may be left
		}
	}
}
