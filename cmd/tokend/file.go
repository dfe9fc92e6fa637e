package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/tokenfile"
	"example.com/tokend/pkg/flow"
)

const fileHelp = `Keeps a client's fresh access token in a file until SIGTERM or Ctrl-C, for
software that reads a token from a path. The file is replaced atomically, only its
owner can read it, and it stays when tokend ends.

It uses the running service, or keeps the client itself when none runs, like
"tokend exec". If it gets no first token, it exits with that error's code; later
errors are logged and retried. A command after -- runs after each change, and
again until it succeeds; with --once it always runs. It does not get the token.

The service can write files itself: see "files" in its configuration.`

type fileFlags struct {
	reachFlags
	to, format, mode string
	minValidity      time.Duration
	once             bool
}

func (p *program) file() *cobra.Command {
	var f fileFlags
	cmd := &cobra.Command{
		Use: "file NAME --to PATH [flags] [-- HOOK [ARGUMENT…]]", Short: "Keep a fresh token in a file", Long: fileHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			var hook []string
			if dash := cmd.ArgsLenAtDash(); dash >= 0 {
				args, hook = args[:dash], args[dash:]
			}
			if len(args) != 1 {
				return exitf(exitUsage, "file needs one client, not %d", len(args))
			}
			return p.keepFile(cmd.Context(), args[0], hook, f)
		},
	}
	cmd.Flags().StringVar(&f.to, "to", "", "path of the file")
	cmd.Flags().StringVar(&f.format, "format", "text", strings.Join(tokenfile.Formats(), ", "))
	cmd.Flags().StringVar(&f.mode, "mode", "0600", "permissions of the file, in octal")
	cmd.Flags().DurationVar(&f.minValidity, "min-validity", 0, "how long its token is always valid, such as 10m")
	cmd.Flags().BoolVar(&f.once, "once", false, "write it once and exit")
	reachFlagsOf(cmd, &f.reachFlags)
	return cmd
}

func (p *program) keepFile(ctx context.Context, name string, hook []string, f fileFlags) (err error) {
	c, err := f.config(name, hook)
	if err != nil {
		return err
	}
	c.HookOutput, c.HookAlways = p.stderr, f.once // --once is a request for it
	if f.verbose {
		c.Log = slog.New(slog.NewTextHandler(p.stderr, nil))
	} else {
		c.Log = slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	r, err := p.reachOrKeep(ctx, []string{name}, f.reachFlags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	source := &answers{reached: r, name: name}
	file, err := tokenfile.New(c, source)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	if _, err := r.tokenFor(ctx, name, f.minValidity); err != nil {
		return err
	}
	r.started()
	err = file.Once(ctx)
	if err != nil && !errors.Is(err, tokenfile.ErrHook) || err != nil && f.once {
		return fileOrToken(c.Path, err)
	}
	if f.once {
		return nil
	}
	file.Run(ctx)
	return ended(ctx)
}

// config returns the file of the command line.
func (f fileFlags) config(name string, hook []string) (tokenfile.Config, error) {
	c := tokenfile.Config{Format: f.format, MinValidity: f.minValidity, Variables: []string{config.DefaultVariable(name)}, Hook: hook, HookEnv: config.HookEnvironment(os.Environ())}
	if f.to == "" {
		return c, exitf(exitUsage, "file needs --to PATH")
	}
	path, err := filepath.Abs(f.to)
	if err != nil {
		return c, exitWith(exitUsage, err)
	}
	c.Path = path
	if c.Mode, err = config.ParseMode(f.mode); err != nil {
		return c, exitf(exitUsage, "--%w", err)
	}
	_, err = tokenfile.New(c, config.NoToken(name))
	if err != nil || len(hook) == 0 {
		return c, exitWith(exitUsage, err)
	}
	c.Hook = append([]string{}, hook...)
	c.Hook[0], err = findCommand(hook[0])
	return c, err
}

// fileOrToken distinguishes an error of the file from one of the token.
func fileOrToken(path string, err error) error {
	if e := (*exitError)(nil); errors.As(err, &e) {
		return err
	}
	return fileFailure(path, err)
}

// answers is the service as a source of tokens for a file.
type answers struct {
	*reached
	name string
	last *flow.Token
}

// Name returns the client's name.
func (a *answers) Name() string { return a.name }

// Get requests a token from the service.
func (a *answers) Get(ctx context.Context, r flow.Request) (*flow.Token, error) {
	t, err := a.ask(ctx, a.name, r.MinValidity)
	if err != nil {
		return nil, err
	}
	if a.last != nil && a.last.AccessToken.Reveal() == t.AccessToken.Reveal() {
		return a.last, nil
	}
	a.last = &flow.Token{
		AccessToken: flow.Secret(t.AccessToken), TokenType: t.TokenType, Scope: t.Scope, Audience: t.Audience, Expiry: t.ExpiresAt,
	}
	// Only the client's state says how long tokens live.
	if c, err := a.status(ctx, a.name); err == nil && c.Expiry.Truncate(time.Second).Equal(t.ExpiresAt) {
		a.last.Obtained = c.Obtained
	}
	return a.last, nil
}
