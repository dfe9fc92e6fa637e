//go:build !unix

package main

import (
	"os"
	"os/exec"
)

// canReplace reports whether a process can become another program.
const canReplace = false

// passed are the signals that tokend forwards to the command.
func passed() []os.Signal { return []os.Signal{os.Interrupt} }

func ends(os.Signal) bool { return true }

func number(os.Signal) int { return 2 }

// endOf returns the exit code of a process.
func endOf(s *os.ProcessState) int { return s.ExitCode() }

// childPlace is the console, whose signals reach the command by themselves.
type childPlace struct{}

func (p *program) place(*exec.Cmd) childPlace { return childPlace{} }

func (childPlace) passes(os.Signal) bool { return false }
