package tokenfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// hookGrace is how long a hook may take to exit after its signal.
const hookGrace = 2 * time.Second

// runDueHook runs the hook when it is due: after a change, and after a failure with
// a growing delay.
func (f *File) runDueHook(ctx context.Context) error {
	if !f.owed || f.cfg.Now().Before(f.hookAt) {
		return f.hook
	}
	f.hook = f.runHook(ctx)
	if f.owed = f.hook != nil; !f.owed {
		f.hookFails, f.hookAt = 0, time.Time{}
		return nil
	}
	f.hookAt = f.cfg.Now().Add(min(time.Second<<min(f.hookFails, 6), maxHookWait))
	f.hookFails++
	return f.hook
}

// runHook runs the hook, if there is one, and waits for it. It does not get
// the token: it can read the file.
func (f *File) runHook(ctx context.Context) error {
	if len(f.cfg.Hook) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.cfg.HookTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, f.cfg.Hook[0], f.cfg.Hook[1:]...) //nolint:gosec // the configuration names it
	cmd.Env = append([]string{}, f.cfg.HookEnv...)
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if f.cfg.HookOutput != nil {
		cmd.Stdout, cmd.Stderr = f.cfg.HookOutput, f.cfg.HookOutput
	}
	cmd.WaitDelay = hookGrace
	end := ownGroup(cmd)
	err := cmd.Run()
	end()
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("stopped after %s", f.cfg.HookTimeout)
	}
	return fmt.Errorf("%w: %s: %w", ErrHook, f.cfg.Hook[0], err)
}
