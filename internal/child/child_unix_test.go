//go:build unix

package child

import (
	"bufio"
	"context"
	"errors"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// kill sends a signal to this process.
func kill(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(syscall.Getpid(), sig); err != nil {
		t.Fatal(err)
	}
}

func catch(t *testing.T) *Signals {
	t.Helper()
	s := Catch()
	t.Cleanup(s.Stop)
	return s
}

func TestRun_ReturnsTheExitCodeOfAShell(t *testing.T) {
	for script, want := range map[string]error{"exit 0": nil, "exit 3": Exit(3), "kill -9 $$": Exit(137)} {
		if err := catch(t).Run(exec.CommandContext(t.Context(), "/bin/sh", "-c", script)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", script, err, want)
		}
	}
}

func TestRun_CommandThatDoesNotStart(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), t.TempDir())
	if err := catch(t).Run(cmd); err == nil || errors.As(err, new(Exit)) || cmd.Process != nil {
		t.Errorf("%v, process %v", err, cmd.Process)
	}
}

func TestRun_ForwardsSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1} {
		t.Run(sig.String(), func(t *testing.T) {
			s := catch(t)
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `trap 'kill $!; exit 7' TERM HUP USR1; sleep 60 & echo ready; wait`)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- s.Run(cmd) }()
			if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			kill(t, sig)
			if err := <-ended; !errors.Is(err, Exit(7)) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A signal before the command cancels the preparation and is the result, whatever the
// preparation returns.
func TestBefore_SignalIsTheResult(t *testing.T) {
	err := catch(t).Before(t.Context(), func(ctx context.Context) error {
		kill(t, syscall.SIGUSR1) // does not end it
		kill(t, syscall.SIGTERM)
		<-ctx.Done()
		return errors.New("canceled")
	})
	if !errors.Is(err, Exit(143)) {
		t.Errorf("%v", err)
	}
}

func TestBefore_KeepsDeadlineAndIgnoresCancellation(t *testing.T) {
	deadline := time.Now().Add(time.Hour)
	parent, cancel := context.WithDeadline(t.Context(), deadline)
	cancel()
	failed := errors.New("failed")
	err := catch(t).Before(parent, func(ctx context.Context) error {
		if got, ok := ctx.Deadline(); !ok || !got.Equal(deadline) || ctx.Err() != nil {
			t.Errorf("deadline %v, error %v", got, ctx.Err())
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
}
