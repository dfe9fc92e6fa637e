//go:build !unix

package child

import (
	"os"
	"os/exec"
)

// CanReplace reports whether a process can become another program.
const CanReplace = false

// forwarded are the signals that the command gets.
func forwarded() []os.Signal { return []os.Signal{os.Interrupt} }

func ends(os.Signal) bool { return true }

func number(os.Signal) int { return 2 }

// endOf returns the exit code of a process.
func endOf(s *os.ProcessState) int { return s.ExitCode() }

// group is the console, whose signals reach the command by themselves.
type group struct{}

func newGroup(*exec.Cmd) group { return group{} }

func (group) needs(os.Signal) bool { return false }
