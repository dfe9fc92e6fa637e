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

// catchSignals begins to collect signals. Those that were ignored at the start,
// as by nohup, stay so, for the command too.
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

// before does what comes before the command. A signal to end stops that, and is
// the result; the next one then ends the process at once.
func (s *caught) before(ctx context.Context, work func(context.Context) error) error {
	whole := context.WithoutCancel(ctx) // its end is a signal that comes here as well
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

// supervise runs the command beside the private service and returns how it
// ended. From then on a signal ends tokend at once.
func (p *program) supervise(cmd *exec.Cmd, signals *caught) error {
	place := p.place(cmd)
	if _, file := cmd.Stdin.(*os.File); !file {
		cmd.WaitDelay = time.Second // a test's pipe, which the command's own children may hold
	}
	runtime.LockOSThread() // a parent's death is the death of the thread that forked
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
					_ = cmd.Process.Signal(sig) // it has ended by now
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
