package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/audit"
	"example.com/tokend/internal/terminal"
	"example.com/tokend/pkg/tokend"
)

const auditHelp = `Prints the audit log, or what it says of the named clients: who got which token, who
logged in or out, and every proxied request. It reads audit_file and the older files as
the user of the service. Without audit_file here, the service on the unix socket says
which file it writes; no service has to run if the configuration is here.

--format json prints the lines as they are in the files.`

func (p *program) audit() *cobra.Command {
	format, follow := "", false
	cmd := &cobra.Command{
		Use: "audit [NAME…]", Short: "Print who got which token", Long: auditHelp,
		RunE: func(cmd *cobra.Command, names []string) error {
			return p.printAudit(cmd.Context(), names, format, follow)
		},
	}
	tableOrJSON(cmd, &format)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "continue with new entries, until Ctrl-C")
	return cmd
}

func (p *program) printAudit(ctx context.Context, names []string, format string, follow bool) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	s, err := storeSettings()
	if err != nil {
		return err
	}
	const advice = "set audit_file or TOKEND_AUDIT_FILE as the service has it"
	file, keep := p.auditFiles(ctx, s)
	if file == "" {
		return hintf(exitConfig, advice, "no audit log is known: audit_file is not set here, and no service that writes one answers on the unix socket")
	}
	err = audit.Print(ctx, file, keep, follow, func(line []byte) error {
		e, ok := parseAuditLine(line)
		switch {
		case len(names) > 0 && !slices.Contains(names, e.Client):
			return nil
		case format == "json":
			return p.print(string(line))
		case !ok:
			return p.print("a damaged line: " + terminal.Printable(string(line)))
		}
		return p.print(e.String())
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return hintf(exitConfig, advice+"; the service makes the file when it starts", "%s does not exist", file)
	case err != nil:
		return exitWith(exitUnavailable, err)
	}
	return nil
}

// serviceTimeout is how long a command waits for a service that it could do without.
const serviceTimeout = 2 * time.Second

// auditFiles returns the file of the configuration, or without one that of the running
// service, which may have been started with other variables. It warns if both are set and
// differ.
func (p *program) auditFiles(ctx context.Context, s settings) (path string, keep int) {
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	info := &tokend.ServiceInfo{}
	if there, err := findService(); err == nil && there.answersOnSocket(ctx) { // a service on TCP may be on another machine
		if i, err := there.Info(ctx); err == nil {
			info = i
		}
	}
	switch {
	case s.Audit.File == "":
		return info.AuditFile, info.AuditKeep
	case info.AuditFile != "" && !sameFile(info.AuditFile, s.Audit.File):
		p.tell("warning: the service that is running writes %s; this is %s\nhint: set TOKEND_AUDIT_FILE=%s to read that\n",
			info.AuditFile, s.Audit.File, info.AuditFile)
	}
	return s.Audit.File, s.Audit.Keep
}

// sameFile reports whether two paths are of one file, which may not exist.
func sameFile(a, b string) bool {
	if b, err := filepath.Abs(b); err == nil && a == b {
		return true
	}
	x, xerr := os.Stat(a)
	y, yerr := os.Stat(b)
	return xerr == nil && yerr == nil && os.SameFile(x, y)
}

// auditLine is a line of the audit file.
type auditLine struct {
	Time                      time.Time
	Action, Caller, Remote    string
	Subject                   string
	UID, PID                  *int
	Client, Audience, File    string
	Method, Host, Path, Error string
	Status                    int
	Missing                   int
	RequestID                 string `json:"request_id"`
}

// parseAuditLine reads a line. A line that a full disk has cut off is not an entry.
func parseAuditLine(b []byte) (e auditLine, ok bool) {
	return e, json.Unmarshal(b, &e) == nil && e.Action != ""
}

// String is the entry for a person.
func (e auditLine) String() string {
	line := e.Time.Local().Format("2006-01-02 15:04:05") + "  " + terminal.Printable(e.Action)
	if e.Action == "gap" {
		return fmt.Sprintf("%s  %d entries are in the service's log only", line, e.Missing)
	}
	by := terminal.Printable(e.Caller)
	switch {
	case e.Subject != "":
		by += " (" + terminal.Printable(e.Subject) + ")"
	case e.UID != nil && e.PID != nil:
		by += fmt.Sprintf(" (uid %d, pid %d)", *e.UID, *e.PID)
	case e.Remote != "":
		by += " (" + terminal.Printable(e.Remote) + ")"
	}
	parts := []string{line, terminal.Printable(e.Client), "by " + by, fmt.Sprint(e.Status)}
	if e.Method != "" {
		parts = append(parts, terminal.Printable(e.Method+" "+e.Host+e.Path))
	}
	if e.File != "" {
		parts = append(parts, terminal.Printable(e.File))
	}
	if e.Error != "" {
		parts = append(parts, terminal.Printable(e.Error))
	}
	return strings.Join(parts, "  ")
}

// checkAudit returns why the audit log could not be opened, nil without one.
func (s settings) checkAudit() error {
	if s.Audit.File == "" {
		return nil
	}
	if err := audit.Check(s.Audit.File); err != nil {
		return exitWith(exitConfig, fmt.Errorf("audit_file: %w", err))
	}
	return nil
}

// openAudit opens the audit log, nil without one. What it cannot write goes to log.
func (s settings) openAudit(log *slog.Logger) (*audit.Log, error) {
	if s.Audit.File == "" {
		return nil, nil
	}
	l, err := audit.Open(audit.Config{Path: s.Audit.File, Max: s.Audit.Max, Keep: s.Audit.Keep, Log: log})
	if err != nil {
		return nil, exitWith(exitConfig, fmt.Errorf("audit_file: %w", err))
	}
	return l, nil
}
