//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// canReplace says whether a process can become another program.
const canReplace = true

// passed are the signals that a command may be sent through tokend. SIGPIPE is
// only caught: a log that nobody reads must not end tokend before the command.
func passed() []os.Signal {
	return []os.Signal{
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGPIPE,
	}
}

// ends says whether a signal is to end the process that gets it.
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

// endOf is a shell's exit code for how a process ended.
func endOf(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return exitSignal + int(w.Signal())
	}
	return s.ExitCode()
}

// childPlace is where a command runs. On a terminal that is tokend's process
// group, so that job control takes them as one: Ctrl-C, Ctrl-\ and a new size
// reach both without tokend. Without a terminal the command leads a group of
// its own: what is sent to tokend's whole group, as timeout(1) and CI runners
// do, would reach it twice otherwise, which many take for an order to drop
// everything.
type childPlace struct{ terminal bool }

// place settles where the command runs, before it starts.
func (p *program) place(cmd *exec.Cmd) childPlace {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err == nil {
		_ = tty.Close() // there is one
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: err != nil}
	endWithParent(cmd.SysProcAttr)
	return childPlace{terminal: err == nil}
}

// passes says whether tokend hands a signal on: not what the terminal has sent
// to the command itself.
func (c childPlace) passes(sig os.Signal) bool {
	switch sig {
	case syscall.SIGPIPE:
		return false
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH:
		return !c.terminal || !inForeground()
	}
	return true
}

// inForeground says whether this process's group is the one that the terminal
// sends its signals to.
func inForeground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer func() { _ = tty.Close() }() // only asked
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == syscall.Getpgrp()
}
