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

const contractHelp = `Plays Auth0's documented, recorded and reported answers against an issuer and says
where it answers otherwise. Exit code 1 when a case fails.

Against a mockauth0 (found by its control surface) every case runs, each on a tenant
that was reset: what the tenant knows is gone afterwards. Against a real tenant the
cases run that need no planted state, within the tenant's rate limit; nothing is
revoked that the suite did not make itself.`

// contractFlags are the flags of "mockauth0 contract".
type contractFlags struct {
	target       contract.Target
	secretFile   string
	passwordFile string
	report       string
}

func (p *program) contractCommand() *cobra.Command {
	var f contractFlags
	c := &cobra.Command{
		Use: "contract", Short: "Compare an issuer's answers with Auth0's documented ones", Long: contractHelp, Args: cobra.NoArgs,
		Example: "  mockauth0 contract --issuer http://localhost:8400/\n" +
			"  mockauth0 contract --issuer https://tenant.example.com/ --client-id abc --client-secret-file secret \\\n" +
			"      --redirect-uri https://app.example.com/callback --audience https://api.example.com/ --report junit",
		RunE: func(cmd *cobra.Command, _ []string) error { return p.contract(cmd.Context(), f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.target.Issuer, "issuer", "", "the issuer, slash at the end (required)")
	flags.StringVar(&f.target.ClientID, "client-id", "", "client_id of a regular web application")
	flags.StringVar(&f.secretFile, "client-secret-file", "", "file of its client_secret")
	flags.StringVar(&f.target.RedirectURI, "redirect-uri", "", "one of its allowed callback URLs; it is never fetched")
	flags.StringVar(&f.target.Audience, "audience", "", "identifier of an API")
	flags.StringVar(&f.target.Username, "username", "", "a user who may sign in on the pages")
	flags.StringVar(&f.passwordFile, "password-file", "", "file of the user's password")
	flags.StringVar(&f.target.Control, "control", "", "control surface of a mock (ISSUER/_mock/ where there is one)")
	flags.StringVar(&f.report, "report", "text", "form of the report: text, json or junit")
	return c
}

func (p *program) contract(ctx context.Context, f contractFlags) error {
	write, known := map[string]func(*contract.Report, io.Writer) error{
		"text": (*contract.Report).WriteText, "junit": (*contract.Report).WriteJUnit, "json": writeJSON,
	}[f.report]
	switch {
	case !known:
		return fmt.Errorf("--report %q is none of text, json, junit", f.report)
	case f.target.Issuer == "":
		return errors.New("--issuer is missing: which one is asked")
	}
	for _, s := range []struct {
		flag, file string
		into       *string
	}{{"client-secret-file", f.secretFile, &f.target.ClientSecret}, {"password-file", f.passwordFile, &f.target.Password}} {
		if s.file == "" {
			continue
		}
		b, err := os.ReadFile(s.file)
		if err != nil {
			return configError("--%s: %w", s.flag, err)
		}
		*s.into = strings.TrimRight(string(b), "\r\n")
	}
	if err := findControl(ctx, &f.target); err != nil {
		return err
	}
	report, err := contract.Check(ctx, f.target)
	if err != nil {
		return configError("%s", strings.ReplaceAll(err.Error(), "; hint: ", "\nhint: "))
	}
	if err := write(report, p.stdout); err != nil {
		return err
	}
	if n := report.Failed(); n > 0 {
		return &exitError{exitFailure, fmt.Errorf("%d of %d cases failed", n, len(report.Cases))}
	}
	return nil
}

// findControl looks for a mock's control surface. A target without one is a
// real tenant, of which a client has to be known.
func findControl(ctx context.Context, t *contract.Target) error {
	if t.Control != "" || !strings.HasSuffix(t.Issuer, "/") { // the latter is for Check to refuse
		return nil
	}
	control := t.Issuer + "_mock/"
	body, err := get(ctx, control+"health")
	switch op := (*net.OpError)(nil); {
	case err == nil && strings.Contains(string(body), "mockauth0"):
		t.Control = control
	case errors.As(err, &op) && op.Op == "dial":
		return &exitError{exitUnavailable, fmt.Errorf("nothing answers at %s: %w\nhint: start it: mockauth0 serve", t.Issuer, op.Err)}
	case t.ClientID == "":
		return configError("%s is no mock, and a real tenant wants --client-id\n"+
			"hint: give that of a regular web application, with --client-secret-file, --redirect-uri and --audience; of a mock --control", t.Issuer)
	}
	return nil
}

func writeJSON(r *contract.Report, w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
