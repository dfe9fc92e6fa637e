package format

import (
	"context"
	"net/url"
	"strings"
)

// notFound is the text after which Docker continues without credentials; any other
// text is an error.
const notFound = "credentials not found in native keychain"

// oneOperation reads the operand of docker-credential-tokend.
func oneOperation(r *Request, operands []string) error {
	if len(operands) != 1 {
		return errorf(Usage, `Docker runs it, where config.json has "credsStore": "tokend"; manually: echo registry.example.com | docker-credential-tokend get`,
			"docker-credential-tokend takes one operation, not %d: get, store, erase or list", len(operands))
	}
	r.Operation = operands[0]
	return nil
}

// dockerCredential speaks Docker's protocol, see
// https://github.com/docker/docker-credential-helpers: errors on standard output,
// with exit status 1. Without a client name the server's host determines the client.
func dockerCredential(ctx context.Context, p Process, r Request) ([]byte, error) {
	out, err := p.docker(ctx, r)
	switch {
	case err != nil:
		_, text := p.Report(err)
		return line(text), &Told{err}
	case out == "":
		return nil, nil
	}
	return line(out), nil
}

func (p Process) docker(ctx context.Context, r Request) (string, error) {
	in, err := p.input(ctx)
	if err != nil {
		return "", err
	}
	switch r.Operation {
	case "get", "":
		return p.dockerGet(ctx, r, strings.TrimSpace(string(in)))
	case "list":
		return p.dockerList(ctx, r)
	case "store":
		return "", errorf(Usage, "docker login is not needed; tokend login logs a client in", "tokend keeps no password for Docker")
	case "erase": // tokend logout removes a grant
		return "", nil
	case "version":
		return "docker-credential-tokend " + p.Version, nil
	}
	return "", errorf(Usage, "", "operation %q is not one of get, store, erase, list", r.Operation)
}

func (p Process) dockerGet(ctx context.Context, r Request, server string) (string, error) {
	scheme, host := serverOf(server)
	if host == "" {
		return "", errorf(Usage, "such as registry.example.com", "no server is named on standard input")
	}
	s, err := p.Connect(ctx)
	if err != nil {
		return "", err
	}
	user, err := choose(ctx, s, &r, scheme, host)
	if err != nil {
		return "", err
	}
	if r.Client == "" {
		return "", errorf(NoClient, "", "%s", notFound)
	}
	t, err := s.Token(ctx, r.TokenRequest)
	if err != nil {
		return "", err
	}
	return string(encoded(struct{ ServerURL, Username, Secret string }{server, user, t.AccessToken.Reveal()})), nil //nolint:gosec // the answer that Docker expects
}

// dockerList returns every host of the clients and its user.
func (p Process) dockerList(ctx context.Context, r Request) (string, error) {
	s, err := p.Connect(ctx)
	if err != nil {
		return "", err
	}
	all, err := s.Clients(ctx)
	if err != nil {
		return "", err
	}
	users := map[string]string{}
	for _, c := range all {
		if r.Client != "" && r.Client != c.Client {
			continue
		}
		for _, entry := range c.Hosts {
			user, host := splitEntry(entry)
			users[host] = user
		}
	}
	return string(encoded(users)), nil
}

// serverOf splits Docker's server: a host, or a URL.
func serverOf(server string) (scheme, host string) {
	if strings.Contains(server, "://") {
		u, err := url.Parse(server)
		if err != nil {
			return "", ""
		}
		return u.Scheme, u.Host
	}
	host, _, _ = strings.Cut(server, "/")
	return "https", host
}
