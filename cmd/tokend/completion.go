package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/config"
)

const completionHelp = `Prints the completion script of a shell.

  bash  tokend completion bash > ~/.local/share/bash-completion/completions/tokend
  zsh   tokend completion zsh > "${fpath[1]}/_tokend"
  fish  tokend completion fish > ~/.config/fish/completions/tokend.fish
  PowerShell  tokend completion powershell >> $PROFILE

Bash needs the package bash-completion. "make install" installs those of
bash, zsh and fish, for both programs.

Names of clients come from the running service, or from the configuration when none
answers in time.`

// completionTimeout is how long a person who pressed Tab waits for the service.
const completionTimeout = 300 * time.Millisecond

func (p *program) completion() *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh|fish|powershell", Short: "Print the completion script of a shell", Long: completionHelp,
		Args: cobra.ExactArgs(1), ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return exitWith(exitUnavailable, root.GenBashCompletionV2(p.stdout, true))
			case "zsh":
				return exitWith(exitUnavailable, root.GenZshCompletion(p.stdout))
			case "fish":
				return exitWith(exitUnavailable, root.GenFishCompletion(p.stdout, true))
			case "powershell":
				return exitWith(exitUnavailable, root.GenPowerShellCompletionWithDesc(p.stdout))
			}
			return exitf(exitUsage, "shell %q is not one of bash, zsh, fish, powershell", args[0])
		},
	}
}

// complete completes the names of clients for every command under root that takes one
// or several. line is the whole command line.
func complete(root *cobra.Command, line []string) {
	for _, cmd := range root.Commands() {
		complete(cmd, line)
		if cmd.ValidArgsFunction != nil || cmd.ValidArgs != nil {
			continue
		}
		_, operands, _ := strings.Cut(cmd.Use, " ")
		operands = strings.Trim(operands, "[]")
		several := strings.HasPrefix(operands, "NAME…")
		switch {
		case several || operands == "NAME" || strings.HasPrefix(operands, "NAME "):
			cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
				if afterDash(line) { // another program's
					return nil, cobra.ShellCompDirectiveDefault
				}
				if len(args) > 0 && !several {
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
				return knownClients(cmd.Context(), args), cobra.ShellCompDirectiveNoFileComp
			}
		case operands == "":
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
}

// completeClient completes the value of a flag that is a client.
func completeClient(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return knownClients(cmd.Context(), nil), cobra.ShellCompDirectiveNoFileComp
}

// afterDash reports whether the last word of a line comes after a "--". cobra has
// added one of its own by then.
func afterDash(line []string) bool {
	return len(line) > 0 && slices.Contains(line[:len(line)-1], "--")
}

// knownClients are the clients of the service, or of the configuration where none
// answers, without those that the line has. Completion reports no errors.
func knownClients(ctx context.Context, without []string) []string {
	names, ok := askedClients(ctx)
	if !ok {
		names = configuredClients()
	}
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(without, name) })
}

// askedClients asks the service, and waits no longer than a person at a shell.
func askedClients(ctx context.Context) (names []string, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	s, err := findService()
	if err != nil {
		return nil, false
	}
	all, err := s.clients(ctx)
	if err != nil {
		return nil, false
	}
	for _, c := range all {
		names = append(names, c.Client)
	}
	return names, true
}

func configuredClients() []string {
	env := config.OS()
	return config.ClientNames(env, config.DefaultPaths(env))
}
