//go:build unix

package child

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// CanReplace reports whether a process can become another program.
const CanReplace = true

// forwarded are the signals that the command gets. SIGPIPE is only caught: a closed log
// must not end this process before the command.
func forwarded() []os.Signal {
	return []os.Signal{
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGPIPE,
	}
}

// ends reports whether a signal asks the process to end.
func ends(sig os.Signal) bool {
	switch sig {
	case syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT:
		return true
	}
	return false
}

func number(sig os.Signal) int {
	if n, ok := sig.(syscall.Signal); ok {
		return int(n)
	}
	return 0
}

// endOf returns the exit code that a shell would report for a process.
func endOf(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return exitSignal + int(w.Signal())
	}
	return s.ExitCode()
}

// group is the process group of a command. On a terminal it is that of this process, so
// that job control handles both as one: Ctrl-C, Ctrl-\ and a new size reach both. Without a
// terminal the command leads its own group. Otherwise a signal to this process's group, as
// from timeout(1) and CI runners, would reach the command twice, and many programs end
// immediately at the second one.
type group struct{ terminal bool }

// newGroup sets the process group of the command before it starts.
func newGroup(cmd *exec.Cmd) group {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err == nil {
		_ = tty.Close() // there is one
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: err != nil}
	endWithParent(cmd.SysProcAttr)
	return group{terminal: err == nil}
}

// needs reports whether a signal has to be forwarded: not one that the terminal has sent
// to the command as well.
func (g group) needs(sig os.Signal) bool {
	switch sig {
	case syscall.SIGPIPE:
		return false
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH:
		return !g.terminal || !inForeground()
	}
	return true
}

// inForeground reports whether the terminal sends its signals to this process's group.
func inForeground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer func() { _ = tty.Close() }() // only asked
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == syscall.Getpgrp()
}
