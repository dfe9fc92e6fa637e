package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// waitDefault is how long --wait waits when there is no --timeout.
const waitDefault = time.Minute

// The back-off of --wait, where the service names no time itself.
const (
	waitFirst = 100 * time.Millisecond
	waitMost  = 2 * time.Second
)

// limits are the flags that every command has.
type limits struct {
	timeout time.Duration // 0: none
	wait    bool
	noInput bool
	release context.CancelFunc
}

// errTimeout is the cause of a context that --timeout has ended. It is a deadline like
// others to errors.Is.
var errTimeout = fmt.Errorf("--timeout: %w", context.DeadlineExceeded)

// waitLimit is the key of what --wait puts into the context of a command: how long a
// call is repeated.
type waitLimit struct{}

func (p *program) addLimits(root *cobra.Command) {
	f := root.PersistentFlags()
	f.DurationVar(&p.limits.timeout, "timeout", 0, "end the command after this time, such as 30s, with exit code 75")
	f.BoolVar(&p.limits.wait, "wait", false, "wait for the service, and when it says try again, until --timeout or for 60s")
	f.BoolVar(&p.limits.noInput, "no-input", inCI(), "ask no person and open no browser; set by CI=true")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		p.hangups.end(cmd)
		return p.limit(cmd)
	}
}

// inCI reports whether the environment is that of a pipeline, without a person.
func inCI() bool {
	ci, err := strconv.ParseBool(os.Getenv("CI"))
	return ci && err == nil
}

// limit puts --timeout and --wait into the command's context.
func (p *program) limit(cmd *cobra.Command) error {
	if p.limits.timeout < 0 {
		return exitf(exitUsage, "--timeout %s is negative", p.limits.timeout)
	}
	ctx := cmd.Context()
	if p.limits.timeout > 0 {
		ctx, p.limits.release = context.WithTimeoutCause(ctx, p.limits.timeout, errTimeout)
	}
	if p.limits.wait {
		d := p.limits.timeout
		if d == 0 {
			d = waitDefault
		}
		ctx = context.WithValue(ctx, waitLimit{}, d)
	}
	cmd.SetContext(ctx)
	return nil
}

// ended is the error of a command that runs until its context ends.
func ended(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errTimeout) {
		return errTimeout
	}
	return nil
}

// outOfTime is err, or the error of --timeout when that was the reason.
func (p *program) outOfTime(err error) error {
	if e := (*exitError)(nil); errors.As(err, &e) && e.told {
		return err // the answer says it
	}
	if p.limits.timeout == 0 || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errTimeout) {
		return err
	}
	return hintf(exitTryAgain, "try again, or give it more time", "the command took longer than --timeout %s", p.limits.timeout)
}

// waited repeats try while its error is temporary, for as long as --wait allows. When it
// gives up, the last error keeps its exit code.
func waited[T any](ctx context.Context, temporary func(error) bool, try func() (T, error)) (T, error) {
	total, waiting := ctx.Value(waitLimit{}).(time.Duration)
	v, err := try()
	if !waiting || err == nil || ctx.Err() != nil || !temporary(err) {
		return v, err
	}
	wait, cancel := context.WithTimeout(ctx, total)
	defer cancel()
	for pause := waitFirst; ; pause = min(2*pause, waitMost) {
		if until, ok := wait.Deadline(); ok && retryAfter(err) > max(0, time.Until(until)) {
			return v, err // the time is not enough, as for a refresh whose outcome is unknown
		}
		timer := time.NewTimer(max(pause, retryAfter(err)))
		select {
		case <-timer.C:
		case <-wait.Done():
			timer.Stop()
			return v, gaveUp(ctx, total, err)
		}
		last := err
		if v, err = try(); err == nil || wait.Err() == nil && !temporary(err) {
			return v, err
		}
		if wait.Err() != nil {
			return v, gaveUp(ctx, total, last)
		}
	}
}

// gaveUp is the last error that --wait has seen.
func gaveUp(ctx context.Context, total time.Duration, last error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return exitWith(exitUnavailable, ctx.Err())
	}
	return exitf(exitCode(last), "waited %s: %w", total, last)
}

// passing reports whether an error is temporary: nothing listens yet, or the service says
// that trying again helps.
func passing(err error) bool {
	code := exitCode(err)
	return code == exitUnavailable || code == exitTryAgain
}

// retryAfter is how long the service asks to wait.
func retryAfter(err error) time.Duration {
	if e := (*exitError)(nil); errors.As(err, &e) {
		return e.retryAfter
	}
	return 0
}

// reach is findService; --wait also waits for the key file, which the service
// makes when it starts for the first time.
func reach(ctx context.Context) (service, error) {
	missing := func(error) bool {
		file := os.Getenv("TOKEND_API_KEY_FILE")
		_, err := os.Lstat(file)
		return file != "" && errors.Is(err, os.ErrNotExist)
	}
	return waited(ctx, missing, findService)
}
