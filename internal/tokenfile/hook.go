package tokenfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// hookGrace is what a hook has to end in when it is told to.
const hookGrace = 2 * time.Second

// payHook runs the hook when it is owed: after a change, and after a failure again
// and again, with growing patience.
func (f *File) payHook(ctx context.Context) error {
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

// runHook runs the hook, if there is one, and waits for it. It gets neither the
// token nor a way to it: it may read the file.
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
		err = fmt.Errorf("it was ended after %s", f.cfg.HookTimeout)
	}
	return fmt.Errorf("%w: %s: %w", ErrHook, f.cfg.Hook[0], err)
}
