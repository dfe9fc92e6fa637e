//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// canReplace reports whether a process can become another program.
const canReplace = true

// passed are the signals that tokend forwards to the command. SIGPIPE is only caught: a
// closed log must not end tokend before the command.
func passed() []os.Signal {
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

// childPlace is the process group of a command. On a terminal it is tokend's, so that
// job control handles both as one: Ctrl-C, Ctrl-\ and a new size reach both. Without a
// terminal the command leads its own group. Otherwise a signal to tokend's group, as
// from timeout(1) and CI runners, would reach the command twice, and many programs end
// immediately at the second one.
type childPlace struct{ terminal bool }

// place sets the process group of the command before it starts.
func (p *program) place(cmd *exec.Cmd) childPlace {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err == nil {
		_ = tty.Close() // there is one
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: err != nil}
	endWithParent(cmd.SysProcAttr)
	return childPlace{terminal: err == nil}
}

// passes reports whether tokend forwards a signal: not one that the terminal has sent to
// the command as well.
func (c childPlace) passes(sig os.Signal) bool {
	switch sig {
	case syscall.SIGPIPE:
		return false
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH:
		return !c.terminal || !inForeground()
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
