package main

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"time"
)

// caught are the signals that reach tokend while a command is prepared or runs.
type caught struct{ c chan os.Signal }

// catchSignals begins to collect signals. Signals that were ignored at the start, for
// example by nohup, stay ignored, for the command too.
func catchSignals() *caught {
	s := &caught{c: make(chan os.Signal, 16)}
	var list []os.Signal
	for _, sig := range passed() {
		if !signal.Ignored(sig) {
			list = append(list, sig)
		}
	}
	signal.Notify(s.c, list...)
	return s
}

func (s *caught) stop() { signal.Stop(s.c) }

// before runs f before the command starts. A terminating signal cancels it and is the
// result; the next one ends the process at once.
func (s *caught) before(ctx context.Context, work func(context.Context) error) error {
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
		return childExit(exitSignal + number(got))
	}
	return err
}

// supervise runs the command next to the private service and returns its exit. After
// that a signal ends tokend at once.
func (p *program) supervise(cmd *exec.Cmd, signals *caught) error {
	place := p.place(cmd)
	if _, file := cmd.Stdin.(*os.File); !file {
		cmd.WaitDelay = time.Second // for a test's pipe, which children of the command may keep open
	}
	runtime.LockOSThread() // Pdeathsig is sent when the thread that forked ends
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return cannotRun(cmd.Args[0], err)
	}
	ended, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		for {
			select {
			case sig := <-signals.c:
				if place.passes(sig) {
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
		return exitWith(exitUnavailable, err)
	}
	if code := endOf(cmd.ProcessState); code != 0 {
		return childExit(code)
	}
	return nil
}
