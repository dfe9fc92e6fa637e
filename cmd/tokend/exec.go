package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/child"
	"example.com/tokend/internal/config"
	"example.com/tokend/internal/format"
	"example.com/tokend/internal/hint"
)

const execHelp = `Runs a command with fresh access tokens in its environment.

The tokens come from the running service. Where none runs and TOKEND_ADDR names
none, exec keeps the clients itself while the command runs: with the same
configuration and the same store, on a port and with a key of its own. Either way
the command gets fresh tokens later with "tokend token NAME", because TOKEND_ADDR
and, over TCP, TOKEND_API_KEY are set for it. Every other TOKEND_ variable is
removed from its environment.

A client's token is in <NAME>_ACCESS_TOKEN, with <NAME> in capitals and _ for -,
or in the variables that the client's "env" or --env names.

The command starts when every client has a token that is valid for
--min-validity. Its exit code is that of exec; 127 is a command that is not found,
126 one that cannot be run, 128+N one that signal N ended. --timeout ends with the
start of the command.`

type execFlags struct {
	reachFlags
	env         []string
	minValidity time.Duration
}

func (p *program) exec() *cobra.Command {
	var f execFlags
	cmd := &cobra.Command{
		Use: "exec NAME… [flags] -- COMMAND [ARGUMENT…]", Short: "Run a command with fresh tokens in its environment", Long: execHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			if dash < 1 || dash == len(args) {
				return p.execUsage(cmd.Context(), args, dash)
			}
			return p.execute(cmd.Context(), args[:dash], args[dash:], f)
		},
	}
	cmd.Flags().DurationVar(&f.minValidity, "min-validity", 0, "how long each token must still be valid, such as 30m")
	cmd.Flags().StringArrayVar(&f.env, "env", nil, "variable for a client's token, NAME=VARIABLE, or VARIABLE for the only client; repeatable")
	cmd.Flags().StringVar(&f.actions, "actions-id-token", "", "client that the command may ask as it would ask GitHub Actions for an ID token")
	reachFlagsOf(cmd, &f.reachFlags)
	_ = cmd.RegisterFlagCompletionFunc("actions-id-token", completeClient) // the flag exists
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		err = flagError(cmd, err)
		if words := p.wordsAfter(cmd.Name()); hint.Of(err) == "" && len(words) > 1 && !slices.Contains(words, "--") && !strings.HasPrefix(words[0], "-") {
			return hintf(exitUsage, withDash(cmd.Context(), words), "%w: flags after -- are the command's", err) // such as terraform -chdir=x plan
		}
		return err
	})
	return cmd
}

// execUsage says what is missing of a command line, and how to type it. dash is where
// its -- was; negative: nowhere.
func (p *program) execUsage(ctx context.Context, args []string, dash int) error {
	switch {
	case len(args) == 0:
		return hintf(exitUsage, "such as tokend exec demo -- terraform plan", "exec needs a client and, after --, a command")
	case dash == 0:
		return hintf(exitUsage, "tokend exec NAME -- "+quoted(args)+"; tokend status lists the clients", "exec needs a client before --")
	case dash == len(args):
		return hintf(exitUsage, "such as tokend exec "+quoted(args)+" -- terraform plan", "exec needs a command after --")
	}
	return hintf(exitUsage, withDash(ctx, args), "exec needs -- before the command")
}

// withDash is a command line of exec with its -- in place: after the words that are
// known clients, at least the first one.
func withDash(ctx context.Context, words []string) string {
	known := knownClients(ctx, nil)
	names := 1
	for names < len(words) && slices.Contains(known, words[names]) {
		names++
	}
	command := "COMMAND"
	if names < len(words) {
		command = quoted(words[names:])
	}
	return "tokend exec " + quoted(words[:names]) + " -- " + command
}

// quoted are words as they are typed in a shell.
func quoted(words []string) string {
	var typed []string
	for _, word := range words {
		if word == "" || strings.ContainsFunc(word, func(r rune) bool { return !strings.ContainsRune(unquotedRunes, r) }) {
			word = format.ShellQuoted(word)
		}
		typed = append(typed, word)
	}
	return strings.Join(typed, " ")
}

// unquotedRunes mean nothing to a shell.
const unquotedRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@%+,"

func reachFlagsOf(cmd *cobra.Command, f *reachFlags) {
	cmd.Flags().BoolVar(&f.private, "private", false, "keep the clients here, even where a service runs")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "log what is done, where no service runs")
}

// execute gets the tokens, then runs the command.
func (p *program) execute(ctx context.Context, names, argv []string, f execFlags) (err error) {
	variables, err := checkExec(names, f)
	if err != nil {
		return err
	}
	path, err := findCommand(argv[0])
	if err != nil {
		return err
	}
	signals := child.Catch()
	defer signals.Stop()
	var r *reached
	var set map[string]string
	err = signals.Before(ctx, func(ctx context.Context) (err error) {
		if r, err = p.reachOrKeep(ctx, names, f.reachFlags); err == nil {
			set, err = r.environment(ctx, names, variables, f)
		}
		return err
	})
	if r != nil {
		defer func() {
			if eerr := r.end(); eerr != nil {
				p.tell("warning: could not stop the private service: %v\n", eerr)
			}
		}()
	}
	if err != nil {
		return err
	}
	r.started()
	env := childEnvironment(os.Environ(), set)
	if r.private || !child.CanReplace {
		return runNext(&exec.Cmd{Path: path, Args: argv, Env: env, Stdin: p.stdin, Stdout: p.stdout, Stderr: p.stderr}, signals)
	}
	return cannotRun(argv[0], p.become(path, argv, env)) // nothing is left to do afterwards
}

// runNext runs the command next to the private service.
func runNext(cmd *exec.Cmd, signals *child.Signals) error {
	err := signals.Run(cmd)
	if cmd.Process == nil {
		return cannotRun(cmd.Args[0], err)
	}
	return exitWith(exitUnavailable, err)
}

func (p *program) become(path string, args, env []string) error {
	if p.replace != nil {
		return p.replace(path, args, env)
	}
	return syscall.Exec(path, args, env) //nolint:gosec // the caller's own command
}

// checkExec checks what needs no service, and returns the variables of --env.
func checkExec(names []string, f execFlags) (map[string][]string, error) {
	if f.minValidity < 0 {
		return nil, exitf(exitUsage, "--min-validity %s is negative", f.minValidity)
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, exitf(exitUsage, "duplicate client %q", name)
		}
	}
	if f.actions != "" && !slices.Contains(names, f.actions) {
		return nil, exitf(exitUsage, "--actions-id-token %s is not one of the clients %s", f.actions, strings.Join(names, ", "))
	}
	variables := map[string][]string{}
	for _, pair := range f.env {
		name, variable, found := strings.Cut(pair, "=")
		if !found && len(names) == 1 {
			name, variable = names[0], pair
		}
		if !found && len(names) > 1 {
			return nil, hintf(exitUsage, fmt.Sprintf("--env %s=%s", names[0], pair),
				"--env %s does not say which of the clients %s it is for", pair, strings.Join(names, ", "))
		}
		if !slices.Contains(names, name) {
			return nil, hintf(exitUsage, "--env NAME=VARIABLE, with NAME one of them",
				"--env %s is not for one of the clients %s", pair, strings.Join(names, ", "))
		}
		if why := config.BadVariable(variable); why != "" {
			return nil, exitf(exitUsage, "--env %s: %q %s", pair, variable, why)
		}
		variables[name] = append(variables[name], variable)
	}
	return variables, nil
}

// environment gets a token for every client and returns the variables of the command.
func (r *reached) environment(ctx context.Context, names []string, variables map[string][]string, f execFlags) (map[string]string, error) {
	set := map[string]string{}
	for _, name := range names {
		t, err := r.tokenFor(ctx, name, f.minValidity)
		if err != nil {
			return nil, err
		}
		own, err := r.variablesOf(ctx, name, variables[name])
		if err != nil {
			return nil, err
		}
		for _, variable := range own {
			if _, taken := set[variable]; taken {
				return nil, hintf(exitUsage, "choose another variable with --env NAME=VARIABLE", "two tokens have the variable %s", variable)
			}
			set[variable] = t.AccessToken.Reveal()
		}
	}
	way, err := r.variables(ctx)
	if err != nil {
		return nil, err
	}
	maps.Copy(set, way)
	if f.actions != "" {
		if way, err = r.actionsVariables(ctx, f.actions); err != nil {
			return nil, err
		}
		maps.Copy(set, way)
	}
	return set, nil
}

// variablesOf are the variables of a client's token: of --env, of the client's settings
// at the service, or the default.
func (r *reached) variablesOf(ctx context.Context, name string, given []string) ([]string, error) {
	if given != nil {
		return given, nil
	}
	c, err := r.status(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, variable := range c.Env { // the service may be another version, or none
		if why := config.BadVariable(variable); why != "" {
			return nil, hintf(exitConfig, "choose another variable with --env", "env of client %s at the service: %q %s", name, variable, why)
		}
	}
	if len(c.Env) > 0 {
		return c.Env, nil
	}
	return []string{config.DefaultVariable(name)}, nil
}

// childEnvironment is environ without the settings of tokend, some of which are secret,
// and with what is set.
func childEnvironment(environ []string, set map[string]string) []string {
	env := []string{}
	for _, kv := range config.WithoutSettings(environ) {
		name, _, _ := strings.Cut(kv, "=")
		if _, replaced := set[name]; !replaced {
			env = append(env, kv)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		env = append(env, name+"="+set[name])
	}
	return env
}

// findCommand looks a command up as a shell does.
func findCommand(name string) (string, error) {
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrDot) { // PATH has "." and is the user's own
		err = nil
	}
	return path, cannotRun(name, err)
}

// cannotRun gives the failure to start a command the exit code of a shell.
func cannotRun(name string, err error) error {
	why := err
	if e := (*exec.Error)(nil); errors.As(err, &e) {
		why = e.Err
	}
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		why = e.Err
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return hintf(exitNotFound, "give its path, or check PATH", "command %q is not found", name)
	case errors.Is(err, syscall.ENOEXEC):
		return hintf(exitNotExecutable, "a script's first line is such as #!/bin/sh", "command %q is not a program", name)
	default:
		return hintf(exitNotExecutable, "check its permissions", "command %q cannot be run: %w", name, why)
	}
}
