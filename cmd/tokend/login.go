package main

import (
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

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/terminal"
	"example.com/tokend/pkg/tokend"
)

const loginHelp = `Logs a client in; without NAME every client that needs it, one after the other.

A client that needs no person (login: headless, a seed, client credentials, a
password, a token exchange) is logged in by the service. What the provider refused
before is tried again. For login: device a code is printed with the page where a
person confirms it, on any machine. For login: browser and login: paste the command
does on a terminal what the setting says, and elsewhere says where to log in.

--browser opens the login page and waits until the browser comes back to the
service. --paste prints the address of the page for a browser anywhere, and reads
the address that it ends on (or the code alone) from standard input; it ends as well
when the browser came back to the service. On a terminal the address is shown as a
QR code, too, when that fits.

With --no-input, which CI=true implies, a login that needs a person ends with exit
code 77 and says where a person can log in.`

// loginPoll is the pause between two requests for the state of a login.
const loginPoll = 250 * time.Millisecond

// loginFlags are a command line of "tokend login".
type loginFlags struct{ browser, paste bool }

func (p *program) login() *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{
		Use: "login [NAME]", Short: "Log a client in, or all that need it", Long: loginHelp, Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := reach(cmd.Context())
			if err != nil {
				return err
			}
			l := loginRun{program: p, service: s, flags: f, input: terminal.NewLineReader(p.stdin)}
			if len(args) == 0 {
				return l.all(cmd.Context())
			}
			c, err := s.status(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return l.client(cmd.Context(), c)
		},
	}
	cmd.Flags().BoolVar(&f.browser, "browser", false, "open the login page and wait")
	cmd.Flags().BoolVar(&f.paste, "paste", false, "print the login page's address, read where it ends")
	cmd.MarkFlagsMutuallyExclusive("browser", "paste")
	return cmd
}

// loginRun is one run of "tokend login".
type loginRun struct {
	*program
	service service
	flags   loginFlags
	input   *terminal.LineReader
}

// all logs in every client that has no grant. What failed is reported together, with
// the exit code of the worst.
func (l loginRun) all(ctx context.Context) error {
	clients, err := l.service.clients(ctx)
	if err != nil {
		return err
	}
	var need []tokend.Status
	for _, c := range clients {
		if c.State == tokend.StateLoginRequired || c.State == tokend.StateRestored {
			need = append(need, c)
		}
	}
	if len(need) == 0 {
		fmt.Fprintln(l.stdout, "no client needs a login")
		return nil
	}
	var failed []error
	for i, c := range need {
		if ctx.Err() != nil {
			break
		}
		l.tell("client %s (%d of %d)\n", c.Client, i+1, len(need))
		err := needsSetting(&c)
		if err == nil {
			err = l.client(ctx, &c)
		}
		if err != nil {
			err = l.outOfTime(exitWith(exitUnavailable, err))
			failed = append(failed, hintf(exitCode(err), hint.Of(err), "client %s: %w", c.Client, err))
		}
	}
	fmt.Fprintf(l.stdout, "%d of %s logged in\n", len(need)-len(failed), counted(len(need), "client"))
	return together(failed)
}

// needsSetting is why no login helps a client before one of its settings is changed.
func needsSetting(c *tokend.Status) error {
	if f := c.Failure; f != nil && f.Remedy == tokend.RemedySetting {
		return hintf(exitNoPerm, f.Hint, "%s: %s", f.Class, f.Description)
	}
	return nil
}

// client logs one client in and prints how long its token is valid.
func (l loginRun) client(ctx context.Context, c *tokend.Status) error {
	after, err := l.logIn(ctx, c)
	if err != nil {
		return err
	}
	until := terminal.Time(after.Expiry)
	if s := l.screenOf(l.stdout); s.IsTerminal() && !after.Expiry.IsZero() {
		until += " (" + s.Moment(after.Expiry, l.clock()) + ")"
	}
	fmt.Fprintf(l.stdout, "%s: logged in%s, token until %s\n", after.Client, as(after.Subject), until)
	return nil
}

// logIn logs a client in as it is configured, or as the flags say.
func (l loginRun) logIn(ctx context.Context, c *tokend.Status) (*tokend.Status, error) {
	switch how := l.method(c); {
	case c.Login == "device" && l.flags.paste:
		return c, hintf(exitUsage, "tokend login "+c.Client, "client %s logs in with a code, and there is nothing to paste", c.Client)
	case how == "device":
		return l.device(ctx, c)
	case l.limits.noInput && (how == "browser" || how == "paste"):
		return c, l.refusePerson(ctx, c.Client)
	case how == "browser":
		return l.browser(ctx, c)
	case how == "paste":
		return l.paste(ctx, c)
	}
	return aboutClient(ctx, c.Client, l.service.LoginHeadless)
}

// method is how a client logs in: by the flags, else as it is configured where a
// person reads the terminal, else without one.
func (l loginRun) method(c *tokend.Status) string {
	switch {
	case c.Login == "device":
		return "device"
	case l.flags.browser:
		return "browser"
	case l.flags.paste:
		return "paste"
	case l.limits.noInput || !l.screenOf(l.stderr).IsTerminal():
		return "headless"
	case c.Failure != nil && c.Failure.Remedy == tokend.RemedyBrowser:
		return "browser"
	}
	return c.Login
}

func as(subject string) string {
	if subject == "" {
		return ""
	}
	return " as " + subject
}

// refusePerson refuses a login that needs a person, and says where one can log in.
func (l loginRun) refusePerson(ctx context.Context, name string) error {
	begun, err := l.service.login(ctx, name)
	if err != nil {
		return err
	}
	return hintf(exitNoPerm, fmt.Sprintf("open %s, or add --no-input=false", begun.AuthorizeURL),
		"client %s needs a person to log in, and --no-input (or CI=true) is set", name)
}

// browser opens the login page and waits for the callback at the service.
func (l loginRun) browser(ctx context.Context, before *tokend.Status) (*tokend.Status, error) {
	begun, err := l.service.login(ctx, before.Client)
	if err != nil {
		return before, err
	}
	l.tell("log in at%s\n", l.ownLine(begun.AuthorizeURL))
	l.open(ctx, begun.AuthorizeURL)
	return l.await(ctx, before, time.Duration(begun.ExpiresIn)*time.Second, l.countdown())
}

// ownLine is a URL as the end of a line: on a terminal on one of its own.
func (l loginRun) ownLine(page string) string {
	if l.screenOf(l.stderr).IsTerminal() {
		return "\n" + page
	}
	return " " + page
}

// device prints code and page, and waits until a person has decided.
func (l loginRun) device(ctx context.Context, before *tokend.Status) (*tokend.Status, error) {
	begun, err := l.service.login(ctx, before.Client)
	if err != nil {
		return before, err
	}
	if l.limits.noInput {
		return before, hintf(exitNoPerm, fmt.Sprintf("confirm the code %s at %s, for which the service waits, or add --no-input=false to wait here, too", begun.UserCode, begun.VerificationURIComplete),
			"client %s needs a person to log in, and --no-input (or CI=true) is set", before.Client)
	}
	l.tell("open%s\nand confirm the code %s", l.ownLine(begun.VerificationURIComplete), begun.UserCode)
	if begun.VerificationURI != begun.VerificationURIComplete {
		l.tell(", or type it at%s", l.ownLine(begun.VerificationURI))
	}
	fmt.Fprint(l.stderr, "\n"+l.screenOf(l.stderr).QRCode(begun.VerificationURIComplete))
	if l.flags.browser {
		l.open(ctx, begun.VerificationURIComplete)
	}
	return l.await(ctx, before, time.Duration(begun.ExpiresIn+5)*time.Second, l.countdown()) // the service says why it ended
}

// open opens a page in the browser of the person, or asks them to do it.
func (l loginRun) open(ctx context.Context, page string) {
	open := l.openURL
	if open == nil {
		open = openBrowser
	}
	if err := open(ctx, page); err != nil {
		l.tell("no browser could be opened (%v): open the address yourself\n", err)
	}
}

// countdown shows on a terminal how long a login can still be completed. Its argument
// is the time left; 0 clears the line.
func (l loginRun) countdown() func(left time.Duration) {
	if !l.screenOf(l.stderr).IsTerminal() {
		return func(time.Duration) {}
	}
	const clearLine = "\r\x1b[K"
	last := ""
	return func(left time.Duration) {
		text := ""
		if left > 0 {
			text = "waiting, " + left.Round(time.Second).String() + " left"
		}
		if text != last {
			fmt.Fprint(l.stderr, clearLine+text)
			last = text
		}
	}
}

// await polls the state of a client until a login has succeeded since before.
func (l loginRun) await(ctx context.Context, before *tokend.Status, lifetime time.Duration, left func(time.Duration)) (*tokend.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, lifetime)
	defer cancel()
	deadline, _ := ctx.Deadline()
	tick := time.NewTicker(loginPoll)
	defer tick.Stop()
	defer left(0)
	for {
		left(time.Until(deadline))
		select {
		case <-ctx.Done():
			if context.Cause(ctx) == errTimeout { //nolint:errorlint // it is never wrapped
				return before, exitWith(exitTryAgain, ctx.Err())
			}
			return before, notCompleted(before.Client)
		case <-tick.C:
		}
		c, err := l.service.status(ctx, before.Client)
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

func notCompleted(name string) error {
	return hintf(exitNoPerm, fmt.Sprintf("run tokend login %s again", name), "the login was not completed")
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

// paste prints the login page and reads what its browser ended on. The browser may
// have come back to the service: then there is nothing to paste.
func (l loginRun) paste(ctx context.Context, before *tokend.Status) (*tokend.Status, error) {
	begun, err := l.service.login(ctx, before.Client)
	if err != nil {
		return before, err
	}
	s := l.screenOf(l.stderr)
	l.tell("log in at\n%s%s\n", strings.Repeat(" ", indentOf(s)), begun.AuthorizeURL)
	fmt.Fprint(l.stderr, s.QRCode(begun.AuthorizeURL))
	lifetime := time.Duration(begun.ExpiresIn) * time.Second
	l.tell("then paste the address that the browser ends on, or the code%s:\n", pasteLimit(s, lifetime))

	watched, stop := context.WithTimeout(ctx, lifetime)
	defer stop()
	completed := make(chan *tokend.Status, 1)
	go func() {
		defer close(completed)
		if c, err := l.await(watched, before, lifetime, func(time.Duration) {}); err == nil {
			completed <- c
			stop()
		}
	}()
	line, err := l.input.Next(watched)
	stop()
	after := <-completed
	line = strings.TrimSpace(line)
	switch {
	case after != nil:
		return after, nil
	case line == "" && errors.Is(context.Cause(ctx), errTimeout):
		return before, exitWith(exitTryAgain, errTimeout)
	case line == "" && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)): // Ctrl-C, or the login has expired
		return before, notCompleted(before.Client)
	case line == "" && err != nil && !errors.Is(err, io.EOF):
		return before, exitWith(exitUsage, err)
	case line == "":
		return before, hintf(exitUsage, "the address begins with the redirect URI and holds code= and state=", "nothing was pasted")
	}
	// A code works once: the call is not repeated.
	var c *tokend.Status
	if u, perr := url.Parse(line); perr == nil && u.IsAbs() {
		c, err = l.service.Finish(ctx, before.Client, line)
	} else {
		c, err = l.service.FinishCode(ctx, before.Client, tokend.Secret(line), begun.State)
	}
	return c, exitFrom(err)
}

// indentOf is how far a URL is indented: on a terminal it is not, so that a click and a
// copy of several lines get the whole of it.
func indentOf(s terminal.Screen) int {
	if s.IsTerminal() {
		return 0
	}
	return 2
}

// pasteLimit says on a terminal how long a login can be completed.
func pasteLimit(s terminal.Screen, lifetime time.Duration) string {
	if !s.IsTerminal() || lifetime <= 0 {
		return ""
	}
	return ", within " + terminal.Rough(lifetime)
}
