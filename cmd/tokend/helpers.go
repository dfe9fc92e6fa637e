package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"example.com/tokend/pkg/tokend"
)

// helperOf is the subcommand that a name of the process stands for.
func helperOf(name string) []string {
	switch strings.TrimSuffix(name, ".exe") {
	case "docker-credential-tokend":
		return []string{"docker-credential"}
	case "terraform-credentials-tokend":
		return []string{"terraform-credentials"}
	}
	return nil
}

func (p *program) dockerHelper() *cobra.Command {
	return &cobra.Command{
		Use: "docker-credential get|store|erase|list", Hidden: true,
		Short: "Be Docker's credential helper for the clients' hosts", Args: oneOperation,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.dockerCredential(cmd.Context(), tokenFlags{operation: args[0]})
		},
	}
}

// oneOperation says what Docker would give, to a person who tries.
func oneOperation(_ *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return hintf(exitUsage, `Docker runs it, where config.json has "credsStore": "tokend"; by hand: echo registry.example.com | docker-credential-tokend get`,
		"docker-credential-tokend takes one operation, not %d: get, store, erase or list", len(args))
}

// notFound is what Docker takes for "ask without credentials"; any other text
// is a failure.
const notFound = "credentials not found in native keychain"

// dockerCredential speaks Docker's protocol, see
// https://github.com/docker/docker-credential-helpers: errors on standard
// output, with exit code 1. Without a client the server's host chooses it.
func (p *program) dockerCredential(ctx context.Context, f tokenFlags) error {
	out, err := p.docker(ctx, f)
	if err == nil {
		if out != "" {
			err = p.print(out)
		}
		return err
	}
	err = p.outOfTime(err)
	out = strings.TrimPrefix(strings.TrimSuffix(report(err), "\n"), "error: ")
	if perr := p.print(out); perr != nil {
		return perr
	}
	return &exitError{code: 1, err: err, told: true}
}

func (p *program) docker(ctx context.Context, f tokenFlags) (string, error) {
	in, err := p.read(ctx)
	if err != nil {
		return "", exitWith(exitUsage, err)
	}
	switch f.operation {
	case "get", "":
		return dockerGet(ctx, f, strings.TrimSpace(string(in)))
	case "list":
		return dockerList(ctx, f)
	case "store":
		return "", hintf(exitUsage, "docker login is not needed; tokend login signs a client in", "tokend keeps no password for Docker")
	case "erase": // what tokend keeps is logged out by tokend logout
		return "", nil
	case "version":
		return "docker-credential-tokend " + buildVersion(), nil
	}
	return "", exitf(exitUsage, "operation %q is not one of get, store, erase, list", f.operation)
}

func dockerGet(ctx context.Context, f tokenFlags, server string) (string, error) {
	scheme, host := serverOf(server)
	if host == "" {
		return "", hintf(exitUsage, "such as registry.example.com", "no server is named on standard input")
	}
	s, err := reach(ctx)
	if err != nil {
		return "", err
	}
	var user string
	if f.Client != "" {
		user, err = s.permitted(ctx, f.Client, scheme, host)
	} else {
		f.Client, user, err = s.responsible(ctx, scheme, host)
	}
	if err != nil {
		return "", err
	}
	t, err := s.token(ctx, f.TokenRequest)
	if err != nil {
		return "", err
	}
	out, err := json.Marshal(struct{ ServerURL, Username, Secret string }{server, user, t.AccessToken.Reveal()}) //nolint:gosec // what Docker asked for
	return string(out), exitWith(exitProtocol, err)
}

// responsible is the client that has host among its hosts. None is what Docker
// calls not found.
func (s service) responsible(ctx context.Context, scheme, host string) (client, user string, err error) {
	all, err := s.clients(ctx)
	if err != nil {
		return "", "", err
	}
	if client, user, err = clientOf(all, scheme, host); err == nil && client == "" {
		return "", "", exitf(exitNoClient, "%s", notFound)
	}
	if err == nil {
		err = overWire(scheme, host)
	}
	return client, user, err
}

// dockerList has every host of the clients and its user.
func dockerList(ctx context.Context, f tokenFlags) (string, error) {
	s, err := reach(ctx)
	if err != nil {
		return "", err
	}
	all, err := s.clients(ctx)
	if err != nil {
		return "", err
	}
	users := map[string]string{}
	for _, c := range all {
		if f.Client != "" && f.Client != c.Client {
			continue
		}
		for _, entry := range c.Hosts {
			user, host, found := strings.Cut(entry, "@")
			if !found {
				user, host = defaultUser, entry
			}
			users[host] = user
		}
	}
	out, err := json.Marshal(users)
	return string(out), exitWith(exitProtocol, err)
}

func (p *program) terraformHelper() *cobra.Command {
	return &cobra.Command{
		Use: "terraform-credentials get HOST", Hidden: true,
		Short: "Be Terraform's credentials helper for the clients' hosts", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.terraformCredentials(cmd.Context(), args[0], args[1])
		},
	}
}

// terraformCredentials speaks the protocol of
// https://developer.hashicorp.com/terraform/internals/credentials-helpers: an
// empty object where there is nothing for a host.
func (p *program) terraformCredentials(ctx context.Context, operation, host string) error {
	switch operation {
	case "get":
	case "store", "forget":
		_, _ = p.read(ctx) // the credentials, which are not wanted
		return hintf(exitUsage, fmt.Sprintf("terraform %s is not needed; tokend login signs a client in", map[string]string{"store": "login", "forget": "logout"}[operation]),
			"tokend keeps no token for Terraform")
	default:
		return exitf(exitUsage, "operation %q is not one of get, store, forget", operation)
	}
	s, err := reach(ctx)
	if err != nil {
		return err
	}
	all, err := s.clients(ctx)
	if err != nil {
		return err
	}
	client, _, err := clientOf(all, "https", host)
	if err != nil {
		return err
	}
	if client == "" {
		return p.print("{}")
	}
	t, err := s.token(ctx, tokend.TokenRequest{Client: client})
	if err != nil {
		return err
	}
	out, err := json.Marshal(struct {
		Token string `json:"token"`
	}{t.AccessToken.Reveal()})
	if err != nil {
		return exitWith(exitProtocol, fmt.Errorf("the token has no JSON form: %w", err))
	}
	return p.print(string(out))
}
