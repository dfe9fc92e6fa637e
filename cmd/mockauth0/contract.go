package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"example.com/tokend/pkg/contract"
)

const contractHelp = `Compare an issuer's answers with Auth0's documented, recorded and reported ones. The
exit code is 1 if a case fails, or if every case is skipped or not applicable.

On a mockauth0 (detected by its control API) every case runs and resets the tenant
first: its sessions, grants and changes are lost. On a real tenant only cases run that
need no special state. They obey the rate limit and revoke only what they issued.`

// contractFlags are the flags of "mockauth0 contract".
type contractFlags struct {
	target       contract.Target
	secretFile   string
	passwordFile string
	tokenFile    string
	report       string
	cases        string
}

func (p *program) contractCommand() *cobra.Command {
	var f contractFlags
	c := &cobra.Command{
		Use: "contract", Short: "Compare an issuer's answers with Auth0's", Long: contractHelp, Args: cobra.NoArgs,
		Example: "  mockauth0 contract --issuer http://localhost:8400/\n" +
			"  mockauth0 contract --issuer http://localhost:8400/ --management\n" +
			"  mockauth0 contract --issuer https://tenant.example.com/ --client-id abc --client-secret-file secret \\\n" +
			"      --redirect-uri https://app.example.com/callback --audience https://api.example.com/ --report junit",
		RunE: func(cmd *cobra.Command, _ []string) error { return p.contract(cmd.Context(), f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.target.Issuer, "issuer", "", "issuer with a trailing slash (required)")
	flags.StringVar(&f.target.ClientID, "client-id", "", "client_id of a regular web application")
	flags.StringVar(&f.secretFile, "client-secret-file", "", "file with its client_secret")
	flags.StringVar(&f.target.RedirectURI, "redirect-uri", "", "one of its allowed callback URLs, which is never fetched")
	flags.StringVar(&f.target.Audience, "audience", "", "identifier of an API")
	flags.StringVar(&f.target.Username, "username", "", "user who can log in on the pages")
	flags.StringVar(&f.passwordFile, "password-file", "", "file with the user's password")
	flags.BoolVar(&f.target.Management, "management", false, "play the cases of the Management API instead")
	flags.StringVar(&f.tokenFile, "management-token-file", "", "file with an access token for the Management API of a real tenant")
	flags.StringVar(&f.target.Control, "control", "", "control API of a mock (default: ISSUER/_mock/ if it answers)")
	flags.StringVar(&f.cases, "cases", "", "file of mockauth0 record, whose cases run instead of the documented ones")
	flags.StringVar(&f.report, "report", "text", "format of the report: text, json or junit")
	return c
}

func (p *program) contract(ctx context.Context, f contractFlags) error {
	write, known := map[string]func(*contract.Report, io.Writer) error{
		"text": (*contract.Report).WriteText, "junit": (*contract.Report).WriteJUnit, "json": writeJSON,
	}[f.report]
	switch {
	case !known:
		return fmt.Errorf("--report %q is not one of text, json, junit", f.report)
	case f.target.Issuer == "":
		return errors.New("--issuer is required")
	}
	for _, s := range []struct {
		flag, file string
		into       *string
	}{{"client-secret-file", f.secretFile, &f.target.ClientSecret}, {"password-file", f.passwordFile, &f.target.Password}, {"management-token-file", f.tokenFile, &f.target.ManagementToken}} {
		if s.file == "" {
			continue
		}
		b, err := os.ReadFile(s.file)
		if err != nil {
			return configError("--%s: %w", s.flag, err)
		}
		*s.into = strings.TrimRight(string(b), "\r\n")
	}
	var err error
	if f.cases == "" {
		err = findControl(ctx, &f.target)
	} else if f.target.Recording, err = readRecording(f.cases); err != nil { // its clients and users are not those of a control API
		err = configError("--cases: %w", err)
	}
	if err != nil {
		return err
	}
	report, err := contract.Check(ctx, f.target)
	if err != nil {
		return configError("%s", withHints(err))
	}
	if err := write(report, p.stdout); err != nil {
		return err
	}
	if err := report.Err(); err != nil {
		return &exitError{exitFailure, errors.New(withHints(err))}
	}
	return nil
}

// findControl looks for a mock's control API. A target without one is a real tenant,
// which needs a client.
func findControl(ctx context.Context, t *contract.Target) error {
	if t.Control != "" || !strings.HasSuffix(t.Issuer, "/") { // Check reports such an issuer
		return nil
	}
	control := t.Issuer + "_mock/"
	body, err := get(ctx, control+"health")
	switch op := (*net.OpError)(nil); {
	case err == nil && strings.Contains(string(body), "mockauth0"):
		t.Control = control
	case errors.As(err, &op) && op.Op == "dial":
		return &exitError{exitUnavailable, fmt.Errorf("cannot connect to %s: %w\nhint: start the tenant: mockauth0 serve", t.Issuer, op.Err)}
	case t.Management && t.ManagementToken == "":
		return configError("%s is not a mock, and --management-token-file is empty\n"+
			"hint: give a file with an access token for the tenant's Management API; only cases that change nothing are played", t.Issuer)
	case t.ClientID == "" && !t.Management:
		return configError("%s is not a mock, and --client-id is empty\n"+
			"hint: for a real tenant, give --client-id of a regular web application, --client-secret-file, --redirect-uri and --audience; for a mock, give --control", t.Issuer)
	}
	return nil
}

// withHints returns an error's text with a line for the hint of each error that it joins.
func withHints(err error) string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the join itself, not one of its errors
		var lines []string
		for _, err := range joined.Unwrap() {
			lines = append(lines, withHints(err))
		}
		return strings.Join(lines, "\n")
	}
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return err.Error() + "\nhint: " + h.Hint()
	}
	return err.Error()
}

func writeJSON(r *contract.Report, w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
