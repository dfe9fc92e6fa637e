package main

import (
	"context"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/doctor"
	"example.com/tokend/internal/terminal"
)

// program is the whole command line as a value; only its environment variables
// are the process's.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	name    string           // argv[0]; "" is tokend
	now     func() time.Time // nil: time.Now
	machine *doctor.Machine  // for doctor; nil: this one
	line    []string         // the command line that runs
	limits  limits           // of the command that runs
	hangups hangups          // SIGHUP; the zero value: it is not caught

	screen func(io.Writer) terminal.Screen // the terminal behind a writer; nil: the system's

	openURL   func(ctx context.Context, url string) error // shows a page to the person; nil: the system's browser
	listening func(addrs []net.Addr)                      // called by serve before it serves; may be nil
	passed    func() []*os.File                           // sockets of a service manager; nil: those of systemd

	replace func(path string, args, env []string) error // replaces the process by another program; nil: execve(2)
}

// run executes one command and returns the process's exit code.
func (p *program) run(ctx context.Context, args []string) int {
	p.line = args
	root := p.command()
	complete(root, args)
	root.SetArgs(append(append([]string{}, helperOf(p.name)...), args...)) // never nil: that is os.Args to cobra
	ran, err := root.ExecuteContextC(ctx)
	err = p.outOfTime(err)
	if ran != nil && !ran.Hidden {
		err = pointed(err, ran.CommandPath())
	}
	if p.limits.release != nil {
		p.limits.release()
	}
	if err != nil {
		p.tell("%s", p.screenOf(p.stderr).Lines(report(err)))
	}
	return exitCode(err)
}

// wordsAfter are the words of the command line after a command's name.
func (p *program) wordsAfter(name string) []string {
	i := slices.Index(p.line, name)
	if i < 0 {
		return nil
	}
	return p.line[i+1:]
}

// command is the tree of subcommands.
func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use:               "tokend",
		Short:             "Keeps OAuth grants alive and returns fresh access tokens",
		Long:              rootHelp,
		Version:           buildVersion(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetVersionTemplate(versionLine())
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(flagError)
	p.addLimits(root)
	root.AddCommand(
		p.serve(),
		p.login(),
		p.token(),
		p.inspect(),
		p.exec(),
		p.file(),
		p.proxy(),
		p.status(),
		p.dashboard(),
		p.events(),
		p.audit(),
		p.refresh(),
		p.logout(),
		p.resume(),
		p.key(),
		p.store(),
		p.doctor(),
		p.healthcheck(),
		p.config(),
		p.version(),
		p.completion(),
	)
	root.AddCommand(p.helpers()...)
	return root
}

const rootHelp = `tokend keeps OAuth grants alive and returns fresh access tokens.

"tokend serve" runs the service; the other commands use it. They find it with
TOKEND_ADDR (http://127.0.0.1:8484 or unix:/path) and TOKEND_API_KEY or
TOKEND_API_KEY_FILE; without these at the default socket, then at the default
listener with the key file that the service created.

Called by the name docker-credential-tokend, git-credential-tokend or
terraform-credentials-tokend it is the credential helper of Docker, git or
Terraform. tokend-credential does the same and starts faster.

Exit codes: 0 done, 64 usage, 66 unknown client, 69 service not reachable,
75 try again, 76 the provider's answer cannot be used, 77 login required or refused,
78 configuration. "tokend exec" exits like its command.`
