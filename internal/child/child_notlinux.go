//go:build unix && !linux

package child

import "syscall"

// endWithParent does nothing: only Linux notifies a child of its parent's death.
func endWithParent(*syscall.SysProcAttr) {}
