// Package child runs a command as a shell would: signals that reach the calling process
// reach the command, and its exit code is the result.
package child

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"time"
)

// Exit is how a command, or the work before it, ended: the exit code that a shell would
// report. The command has printed its own errors.
type Exit int

// Error returns the exit code in words.
func (e Exit) Error() string { return fmt.Sprintf("the command ended with %d", int(e)) }

// exitSignal is the exit code of signal 0, for a shell.
const exitSignal = 128

// Signals are the signals that reach this process while a command is prepared or runs.
type Signals struct{ c chan os.Signal }

// Catch begins to collect signals. Signals that were ignored at the start, for example
// by nohup, stay ignored, for the command too.
func Catch() *Signals {
	s := &Signals{c: make(chan os.Signal, 16)}
	var list []os.Signal
	for _, sig := range forwarded() {
		if !signal.Ignored(sig) {
			list = append(list, sig)
		}
	}
	signal.Notify(s.c, list...)
	return s
}

// Stop ends the collection.
func (s *Signals) Stop() { signal.Stop(s.c) }

// Before does work before the command starts. A terminating signal cancels it and is the
// result, an [Exit]; the next one ends the process at once.
func (s *Signals) Before(ctx context.Context, work func(context.Context) error) error {
	whole := context.WithoutCancel(ctx) // a signal that ends ctx arrives here as well
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		whole, cancel = context.WithDeadline(whole, deadline)
		defer cancel()
	}
	whole, cancel := context.WithCancel(whole)
	defer cancel()
	done, left := make(chan struct{}), make(chan struct{})
	var got os.Signal
	go func() {
		defer close(left)
		for {
			select {
			case sig := <-s.c:
				if ends(sig) {
					got = sig
					signal.Reset()
					cancel()
					return
				}
			case <-done:
				return
			}
		}
	}()
	err := work(whole)
	close(done)
	<-left
	if got != nil {
		return Exit(exitSignal + number(got))
	}
	return err
}

// Run runs the command and forwards signals to it. A command that failed is an [Exit];
// of one that did not start, cmd.Process is nil. After that a signal ends the calling
// process at once.
func (s *Signals) Run(cmd *exec.Cmd) error {
	g := newGroup(cmd)
	if _, file := cmd.Stdin.(*os.File); !file {
		cmd.WaitDelay = time.Second // for a test's pipe, which children of the command may keep open
	}
	runtime.LockOSThread() // Pdeathsig is sent when the thread that forked ends
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		for {
			select {
			case sig := <-s.c:
				if g.needs(sig) {
					_ = cmd.Process.Signal(sig) // it may have ended
				}
			case <-ended:
				return
			}
		}
	}()
	err := cmd.Wait()
	close(ended)
	<-left
	signal.Reset()
	if cmd.ProcessState == nil {
		return err
	}
	if code := endOf(cmd.ProcessState); code != 0 {
		return Exit(code)
	}
	return nil
}
