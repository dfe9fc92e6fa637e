package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/tokend/pkg/tokend"
)

const loginHelp = `Logs a client in. Without a flag the service does it by itself, which works where
the provider asks nobody: login: headless, a seed, client credentials, a
password or a token exchange. What the provider has refused before is tried again.

A client with login: device prints a code and the page where a person confirms
it, on any machine, and waits; --browser opens the page here.

--browser opens the login page and waits until the browser comes back to the
service. --paste prints the page's address for a browser anywhere, and reads the
address that it ends on (or the code alone) from standard input. Both need a
person, as does a code: with --no-input, which CI=true implies, they end with exit code 77 and
say where a person can log in.`

// loginPoll is how often a login in the browser is looked at.
const loginPoll = 250 * time.Millisecond

func (p *program) login() *cobra.Command {
	var browser, paste bool
	cmd := &cobra.Command{
		Use: "login NAME", Short: "Log a client in", Long: loginHelp, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := reach(cmd.Context())
			if err != nil {
				return err
			}
			c, err := s.status(cmd.Context(), args[0])
			switch {
			case err != nil:
			case c.Login == "device" && paste:
				err = hintf(exitUsage, fmt.Sprintf("tokend login %s", args[0]),
					"client %s logs in with a code, and there is nothing to paste", args[0])
			case c.Login == "device":
				c, err = p.loginDevice(cmd.Context(), s, c, browser)
			case p.limits.noInput && (browser || paste):
				return p.loginNobody(cmd.Context(), s, args[0])
			case browser:
				c, err = p.loginBrowser(cmd.Context(), s, args[0])
			case paste:
				c, err = p.loginPaste(cmd.Context(), s, args[0])
			default:
				c, err = aboutClient(cmd.Context(), args[0], s.LoginHeadless)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%s: logged in%s, token until %s\n", c.Client, as(c.Subject), when(c.Expiry))
			return nil
		},
	}
	cmd.Flags().BoolVar(&browser, "browser", false, "open the login page and wait")
	cmd.Flags().BoolVar(&paste, "paste", false, "print the login page's address, read where it ends")
	cmd.MarkFlagsMutuallyExclusive("browser", "paste")
	return cmd
}

func as(subject string) string {
	if subject == "" {
		return ""
	}
	return " as " + subject
}

// loginNobody refuses a login that needs a person where none is, and says where
// one can do it.
func (p *program) loginNobody(ctx context.Context, s service, name string) error {
	l, err := s.login(ctx, name)
	if err != nil {
		return err
	}
	return hintf(exitNoPerm, fmt.Sprintf("open %s, or say --no-input=false", l.AuthorizeURL),
		"client %s needs a person to log in, and --no-input (or CI=true) says that nobody is here", name)
}

// loginBrowser waits for the callback by watching the client's state.
func (p *program) loginBrowser(ctx context.Context, s service, name string) (*tokend.Status, error) {
	before, err := s.status(ctx, name)
	if err != nil {
		return before, err
	}
	l, err := s.login(ctx, name)
	if err != nil {
		return before, err
	}
	p.tell("log in at %s\n", l.AuthorizeURL)
	p.open(ctx, l.AuthorizeURL)
	return p.awaitLogin(ctx, s, before, time.Duration(l.ExpiresIn)*time.Second)
}

// loginDevice prints code and page, and waits until a person has decided.
func (p *program) loginDevice(ctx context.Context, s service, before *tokend.Status, browser bool) (*tokend.Status, error) {
	l, err := s.login(ctx, before.Client)
	if err != nil {
		return before, err
	}
	if p.limits.noInput {
		return before, hintf(exitNoPerm, fmt.Sprintf("confirm the code %s at %s, for which the service waits, or say --no-input=false to wait here, too", l.UserCode, l.VerificationURIComplete),
			"client %s needs a person to log in, and --no-input (or CI=true) says that nobody is here", before.Client)
	}
	p.tell("open %s\nand confirm the code %s", l.VerificationURIComplete, l.UserCode)
	if l.VerificationURI != l.VerificationURIComplete {
		p.tell(", or type it at %s", l.VerificationURI)
	}
	fmt.Fprintln(p.stderr)
	if browser {
		p.open(ctx, l.VerificationURIComplete)
	}
	return p.awaitLogin(ctx, s, before, time.Duration(l.ExpiresIn+5)*time.Second) // the service says why it ended
}

// open opens a page in the person's browser, or says that he must.
func (p *program) open(ctx context.Context, page string) {
	open := p.openURL
	if open == nil {
		open = openBrowser
	}
	if err := open(ctx, page); err != nil {
		p.tell("no browser could be opened (%v): open the address yourself\n", err)
	}
}

// awaitLogin watches the client's state until somebody has logged in since before.
func (p *program) awaitLogin(ctx context.Context, s service, before *tokend.Status, patience time.Duration) (*tokend.Status, error) {
	name := before.Client
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(loginPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if context.Cause(ctx) == errTimeout { //nolint:errorlint // it is never wrapped
				return before, exitWith(exitTryAgain, ctx.Err())
			}
			return before, nobody(name)
		case <-tick.C:
		}
		c, err := s.status(ctx, name)
		switch {
		case err != nil && ctx.Err() == nil:
			return c, err
		case err != nil:
		case c.LoggedIn.After(before.LoggedIn):
			return c, nil
		case c.LoginFailure != nil && (before.LoginFailure == nil || c.LoginFailure.Time.After(before.LoginFailure.Time)):
			return c, hintf(exitNoPerm, c.LoginFailure.Hint, "%s: %s", c.LoginFailure.Class, c.LoginFailure.Description)
		}
	}
}

func nobody(name string) error {
	return hintf(exitNoPerm, fmt.Sprintf("run tokend login %s again", name), "nobody logged in")
}

// openBrowser runs what $BROWSER names, or the system's opener.
func openBrowser(ctx context.Context, page string) error {
	opener := os.Getenv("BROWSER")
	if opener == "" {
		opener = "xdg-open"
		if runtime.GOOS == "darwin" {
			opener = "open"
		}
	}
	return exec.CommandContext(ctx, opener, page).Run() //nolint:gosec // the person's own browser
}

func (p *program) loginPaste(ctx context.Context, s service, name string) (*tokend.Status, error) {
	l, err := s.login(ctx, name)
	if err != nil {
		return nil, err
	}
	p.tell("log in at\n  %s\nthen paste the address that the browser ends on, or the code:\n", l.AuthorizeURL)
	line, err := interruptible(ctx, func() (string, error) {
		return bufio.NewReader(io.LimitReader(p.stdin, 64<<10)).ReadString('\n')
	})
	line = strings.TrimSpace(line)
	if line == "" {
		switch {
		case errors.Is(err, context.Canceled): // Ctrl-C, as with --browser
			return nil, nobody(name)
		case err != nil && !errors.Is(err, io.EOF):
			return nil, exitWith(exitUsage, err)
		}
		return nil, hintf(exitUsage, "the address begins with the redirect URI and holds code= and state=", "nothing was pasted")
	}
	// A code works once: the call is not repeated.
	var c *tokend.Status
	if u, perr := url.Parse(line); perr == nil && u.IsAbs() {
		c, err = s.Finish(ctx, name, line)
	} else {
		c, err = s.FinishCode(ctx, name, tokend.Secret(line), l.State)
	}
	return c, exitFrom(err)
}
