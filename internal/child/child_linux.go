package child

import "syscall"

// endWithParent makes the kernel tell the command to end when this process is killed:
// nothing is left behind.
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGTERM }
