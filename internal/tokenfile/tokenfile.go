// Package tokenfile keeps a fresh access token in a file, for software that
// reads one from a path.
//
// [New] makes a [File] of a source of tokens; [File.Run] keeps it, [File.Once]
// writes it once.
package tokenfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// ErrRefused is in every error about an unsafe path: a symbolic link, or a
// directory that others can write to.
var ErrRefused = errors.New("refused")

// ErrHook is in the error of [File.Once] for a hook that failed after the file
// was written.
var ErrHook = errors.New("hook failed")

// Source is where the tokens of a file come from; [flow.Client] is one. Get
// is called every few seconds, so it should answer from memory when it can.
type Source interface {
	Name() string
	Get(ctx context.Context, r flow.Request) (*flow.Token, error)
}

// Config is a file. Path must be set; the zero value of everything else is safe.
type Config struct {
	Path        string        // absolute
	Format      string        // one of Formats; "": text
	Mode        fs.FileMode   // 0: 0600; no permissions for others, not executable
	MinValidity time.Duration // how long its token is always valid, if the provider's tokens live that long
	Variables   []string      // that format env sets

	Hook        []string      // program and arguments, run after each change
	HookEnv     []string      // the hook's whole environment
	HookTimeout time.Duration // 0: 30 s
	HookOutput  io.Writer     // nil: discarded
	HookAlways  bool          // run it the first time even if the file was up to date

	OnWrite func(*flow.Token) // called before another token is in the file; nil: none

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: silent
}

// Status is the state of a file, without secrets.
type Status struct {
	Path    string
	Written time.Time // when its content changed last, by this process; zero: never
	Expiry  time.Time // of the token in it
	Failure string    // why it is not up to date; "" when it is
	Hint    string    // what to do about the failure
}

// The limits of a file.
const (
	poll        = 10 * time.Second // how often it is checked when nothing is due
	maxMargin   = 30 * time.Second // how long before the deadline the next token is requested
	maxWait     = 30 * time.Second // between attempts after failures
	maxHookWait = time.Minute      // between runs of a hook that fails
	hookTimeout = 30 * time.Second
	defaultMode = 0o600
)

// Formats are the formats of a file. Only env ends in a newline: programs use the
// others as they are.
func Formats() []string { return []string{"text", "json", "header", "env"} }

// File is a file and the token in it. Once and Run are for one goroutine,
// Status and Wake for any.
type File struct {
	cfg    Config
	source Source
	wake   chan struct{}

	token    *flow.Token   // the last one
	life     time.Duration // of that token
	complete bool          // life was measured from the token's issue, not from when it was first seen
	fails    int           // in a row

	owed      bool      // the hook has not succeeded since the last change
	hook      error     // of its last run, nil after a success
	hookFails int       // in a row
	hookAt    time.Time // when it may run again

	mu     sync.Mutex
	status Status
}

// New checks c and returns its file. It does no I/O.
func New(c Config, s Source) (*File, error) {
	c.Format = cmp.Or(c.Format, "text")
	c.Mode = cmp.Or(c.Mode, defaultMode)
	c.HookTimeout = cmp.Or(c.HookTimeout, hookTimeout)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Log = c.Log.With("client", s.Name(), "file", c.Path)
	if err := c.check(); err != nil {
		return nil, err
	}
	return &File{cfg: c, source: s, wake: make(chan struct{}, 1), owed: c.HookAlways, status: Status{Path: c.Path}}, nil
}

func (c *Config) check() error {
	var faults []error
	if !filepath.IsAbs(c.Path) || filepath.Clean(c.Path) != c.Path || c.Path == "/" {
		faults = append(faults, hint.Errorf("such as /run/tokend/token", "path %q is not an absolute path of a file", c.Path))
	}
	if !slices.Contains(Formats(), c.Format) {
		faults = append(faults, fmt.Errorf("format %q is not one of text, json, header, env", c.Format))
	}
	if c.Mode&^0o660 != 0 || c.Mode&0o400 == 0 {
		faults = append(faults, hint.Errorf("0600 or 0640", "mode %#o is not for the owner, and perhaps a group, to read", c.Mode))
	}
	if c.MinValidity < 0 {
		faults = append(faults, fmt.Errorf("min_validity %s is negative", c.MinValidity))
	}
	if c.Format == "env" && len(c.Variables) == 0 {
		faults = append(faults, errors.New("format env needs the name of a variable"))
	}
	return errors.Join(faults...)
}

// describe returns the text of an error and its hint.
func describe(err error) (text, advice string) {
	if e := (*flow.Error)(nil); errors.As(err, &e) {
		return e.Message(), e.Hint
	}
	return err.Error(), hint.Of(err)
}

// Status returns the state of the file.
func (f *File) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// Wake makes Run check at once, for example after the source has a new token.
func (f *File) Wake() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Once writes the file and runs its hook, unless the file is up to date; see
// HookAlways.
func (f *File) Once(ctx context.Context) error {
	err := f.refresh(ctx)
	if err == nil {
		f.note(ctx, nil)
		return nil
	}
	f.mu.Lock()
	f.status.Failure, f.status.Hint = describe(err) // the caller reports it
	f.mu.Unlock()
	return err
}

// Run keeps the file current until ctx ends; the file stays. A failure is logged,
// shown by Status and retried; it never ends Run.
func (f *File) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := f.refresh(ctx)
		if ctx.Err() != nil {
			return
		}
		f.note(ctx, err)
		f.sleep(ctx, f.next(err))
	}
}

func (f *File) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-f.wake:
	case <-ctx.Done():
	}
}

// refresh gets a token and writes it to the file unless it is there already.
func (f *File) refresh(ctx context.Context) error {
	t, err := f.source.Get(ctx, flow.Request{MinValidity: f.want()})
	if err != nil {
		return err
	}
	f.learn(t)
	body, err := f.render(t)
	if err != nil {
		return err
	}
	changed, err := f.put(body, t)
	if err != nil {
		return err
	}
	f.mu.Lock()
	if f.status.Expiry = t.Expiry; changed {
		f.status.Written = f.cfg.Now().Round(0)
	}
	f.mu.Unlock()
	if changed {
		f.cfg.Log.InfoContext(ctx, "token file written", "expiry", t.Expiry)
		f.owed, f.hookAt = true, time.Time{}
	}
	return f.runDueHook(ctx)
}

// want is how long the next token must be valid: long enough that the
// next one is requested before less than min_validity is left, but at most half of
// the life of the provider's tokens: otherwise every check would refresh.
func (f *File) want() time.Duration {
	want := f.cfg.MinValidity + min(maxMargin, f.life/10)
	if f.complete && want > f.life-f.life/10 {
		return f.life / 2
	}
	return want
}

// learn records how long tokens live.
func (f *File) learn(t *flow.Token) {
	switch f.complete = !t.Obtained.IsZero(); {
	case f.complete:
		f.life = t.Expiry.Sub(t.Obtained)
	case f.token == nil || f.token.AccessToken != t.AccessToken:
		f.life = t.Expiry.Sub(f.cfg.Now())
	}
	f.token = t
}

// note records a failure or its absence, and logs a change.
func (f *File) note(ctx context.Context, err error) {
	var failure, advice string
	switch {
	case err != nil:
		failure, advice = describe(err)
	case f.token.Remaining(f.cfg.Now()) < f.cfg.MinValidity:
		failure = fmt.Sprintf("its token is valid for less than min_validity %s", f.cfg.MinValidity)
	}
	f.mu.Lock()
	was := f.status.Failure
	f.status.Failure, f.status.Hint = failure, advice
	f.mu.Unlock()
	switch {
	case failure == was:
	case failure == "":
		f.cfg.Log.InfoContext(ctx, "token file is up to date again")
	default:
		f.cfg.Log.WarnContext(ctx, "token file is not up to date", "reason", failure, "hint", advice)
	}
}

// next returns the time until the next check: before the token is too old, or after
// a failure with a growing delay.
func (f *File) next(err error) time.Duration {
	left := time.Duration(0)
	if f.token != nil {
		left = f.token.Remaining(f.cfg.Now()) - f.want()
	}
	if failed := errors.Is(err, ErrHook); left > 0 && (err == nil || failed) {
		f.fails = 0
		wait := min(left+time.Millisecond, poll) // it must be too old by then
		if failed {
			wait = min(wait, max(f.hookAt.Sub(f.cfg.Now()), time.Millisecond))
		}
		return wait
	}
	wait := min(time.Second<<min(f.fails, 5), maxWait)
	f.fails++
	return wait
}
