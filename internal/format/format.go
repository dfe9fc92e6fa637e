// Package format holds the output forms of an access token: for a shell, for the
// credential helpers of git, Docker and Terraform, for kubectl, GitHub Actions and
// Google's libraries. "tokend token" and tokend-credential print them.
package format

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"example.com/tokend/pkg/tokend"
)

// Form is one output form.
type Form struct {
	Name, Help string

	// WithoutService says that the form is for a single use, for which it
	// starts the client in this process when no service runs. Other programs run the
	// other forms for each of their requests.
	WithoutService bool

	least, most int // operands
	operands    func(*Request, []string) error
	run         func(context.Context, Process, Request) ([]byte, error)
}

// Forms returns all forms, as help texts list them.
func Forms() []Form {
	return []Form{
		{Name: "text", Help: "the token and a newline", WithoutService: true, least: 1, most: 1, run: plain(text)},
		{Name: "json", Help: "the service's answer, with expiry and scopes", WithoutService: true, least: 1, most: 1, run: plain(answer)},
		{Name: "header", Help: "a header for curl -H @-", WithoutService: true, least: 1, most: 1, run: plain(header)},
		{Name: "headers", Help: "a JSON object of headers, for a tool's header command", WithoutService: true, least: 1, most: 1, run: plain(headers)},
		{Name: "env", Help: "exports for eval in a shell; --env names the variable", WithoutService: true, least: 1, most: 1, run: plain(exports)},
		{Name: "github", Help: "masks the token and writes $GITHUB_OUTPUT, or $GITHUB_ENV with --env", WithoutService: true, least: 1, most: 1, run: github},
		{Name: "external", Help: "Terraform's data source external: query on stdin, flat JSON", most: 1, run: external},
		{Name: "exec-credential", Help: "kubectl's and client-go's exec plugin", least: 1, most: 1, run: execCredential},
		{Name: "git-credential", Help: "git's credential.helper; the operation is the last argument", least: 1, most: 2, run: gitCredential},
		{Name: "docker-credential", Help: "Docker's credential helper; the operation is the last argument", least: 1, most: 2, run: dockerCredential},
		{Name: "terraform-credentials", Help: "Terraform's credentials helper; an operation and a host, no NAME", most: 2, operands: operationAndHost, run: terraformCredentials},
		{Name: "gcp-executable", Help: "Google's executable-sourced credentials", least: 1, most: 1, run: gcpExecutable},
	}
}

// Helpers returns the forms of programs that are named after their protocol, by that
// name: the requested host determines the client.
func Helpers() map[string]Form {
	return map[string]Form{
		"docker-credential-tokend":     {Name: "docker-credential", most: 1, operands: oneOperation, run: dockerCredential},
		"git-credential-tokend":        {Name: "git-credential", most: 2, operands: operationLast, run: gitCredential},
		"terraform-credentials-tokend": {Name: "terraform-credentials", most: 2, operands: operationAndHost, run: terraformCredentials},
	}
}

// Names returns the names of all forms.
func Names() []string {
	var names []string
	for _, f := range Forms() {
		names = append(names, f.Name)
	}
	return names
}

// Find returns the form of that name.
func Find(name string) (Form, error) {
	forms := Forms()
	i := slices.IndexFunc(forms, func(f Form) bool { return f.Name == name })
	if i < 0 {
		return Form{}, errorf(Usage, "", "format %q is not one of %s", name, strings.Join(Names(), ", "))
	}
	return forms[i], nil
}

// Request is the parsed command line of a form.
type Request struct {
	tokend.TokenRequest
	Variable  string // of the form env or github; "": its default
	Operation string // of a credential helper's protocol: get, store, erase, …
	Host      string // of Terraform's protocol

	scope string // as given
}

// Options are the flags of a command line.
type Options struct {
	MinValidity     time.Duration
	Audience, Scope string
	Variable        string // --env
	IDToken         bool
}

// Request checks a command line. It does no I/O.
func (f Form) Request(operands []string, o Options) (Request, error) {
	r := Request{
		TokenRequest: tokend.TokenRequest{MinValidity: o.MinValidity, Audience: o.Audience, Scopes: scopes(o.Scope), IDToken: o.IDToken},
		Variable:     o.Variable, scope: o.Scope,
	}
	switch {
	case len(operands) < f.least:
		return r, errorf(Usage, "tokend token NAME; tokend status lists them", "the client's name is missing")
	case len(operands) > f.most && f.operands == nil:
		return r, errorf(Usage, "", "unexpected argument %q", operands[f.most])
	case o.MinValidity < 0:
		return r, errorf(Usage, "", "--min-validity %s is negative", o.MinValidity)
	case o.Variable != "" && f.Name != "env" && f.Name != "github":
		return r, errorf(Usage, "use it with --format env or github", "--env has no effect with format %s", f.Name)
	case o.Variable != "" && !variableName(o.Variable):
		return r, errorf(Usage, "letters, digits and _, not a digit first", "--env %q is not a variable name", o.Variable)
	case o.IDToken && !slices.Contains([]string{"text", "json", "header"}, f.Name):
		return r, errorf(Usage, "use it with --format text, json or header", "--id-token has no effect with format %s", f.Name)
	}
	if f.operands != nil {
		return r, f.operands(&r, operands)
	}
	operands = append(slices.Clone(operands), "", "")
	r.Client, r.Operation = operands[0], operands[1]
	return r, nil
}

// Source is where tokens come from: a [tokend.Client], or one in this process.
type Source interface {
	Token(context.Context, tokend.TokenRequest) (*tokend.Token, error)
	Clients(context.Context) ([]tokend.Status, error)
	Status(ctx context.Context, client string) (*tokend.Status, error)
	Refresh(context.Context, tokend.RefreshRequest) (*tokend.Status, error)
}

// Process is the part of the running program that a form uses.
type Process struct {
	Connect func(context.Context) (Source, error)
	Stdin   io.Reader
	Stdout  io.Writer // for what must be printed before a file is written
	Getenv  func(string) string
	Now     func() time.Time
	Warn    func(error)
	Version string

	// Report returns the exit code and the text of err. Some protocols put
	// these into their answer.
	Report func(err error) (code int, text string)
}

// Run returns what r's form prints on standard output. With an error it is empty,
// unless the error is a [Told].
func (f Form) Run(ctx context.Context, p Process, r Request) ([]byte, error) { return f.run(ctx, p, r) }

// scopes splits --scope; nil means the client's own.
func scopes(scope string) []string {
	if scope == "" {
		return nil
	}
	return strings.Fields(scope)
}

// variableName reports whether POSIX allows s as a variable's name.
func variableName(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// line ends an answer with a newline.
func line(s string) []byte { return append([]byte(s), '\n') }

// expiry returns a time as every form writes it: RFC 3339, UTC, whole seconds.
func expiry(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// warnf writes a warning; the form continues.
func (p Process) warnf(format string, args ...any) { p.Warn(fmt.Errorf(format, args...)) }
