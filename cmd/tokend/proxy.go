package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/guard"
	"example.com/tokend/internal/proxy"
	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/tokend"
)

const proxyHelp = `Listens as a base URL for software that cannot refresh a token: it forwards each
request to the upstream, with a fresh token of the client. The base URL is the
one line on standard output. Ends on SIGTERM or Ctrl-C.

The upstream is one of those in the client's configuration, or a path below one;
without --upstream it is the first of them. Callers over TCP send the API key
that this command uses in place of the token (Authorization: Bearer KEY), or as the
password of Basic; other keys of the service are refused, and the upstream never gets it. Callers of a socket are programs of the same user and need
no key.`

type proxyFlags struct{ upstream, listen, socket string }

func (p *program) proxy() *cobra.Command {
	var f proxyFlags
	cmd := &cobra.Command{
		Use: "proxy NAME", Short: "Listen as a base URL that adds a fresh token", Long: proxyHelp, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.runProxy(cmd.Context(), args[0], f) },
	}
	cmd.Flags().StringVar(&f.upstream, "upstream", "", "URL of the API (default: the first of the client's upstreams)")
	cmd.Flags().StringVar(&f.listen, "listen", "", "loopback address (default without --socket: 127.0.0.1:0, any free port)")
	cmd.Flags().StringVar(&f.socket, "socket", "", "unix socket to listen on")
	return cmd
}

func (p *program) runProxy(ctx context.Context, name string, f proxyFlags) error {
	if f.listen == "" && f.socket == "" {
		f.listen = "127.0.0.1:0"
	}
	if f.listen != "" {
		if _, _, err := config.Loopback(f.listen); err != nil {
			return hintf(exitUsage, "use 127.0.0.1:0 for any free port", "--listen: %w", err)
		}
	}
	s, err := reach(ctx)
	if err != nil {
		return err
	}
	c, err := s.status(ctx, name)
	if err != nil {
		return err
	}
	upstream, err := f.choose(c)
	if err != nil {
		return err
	}
	key, err := s.Key()
	if err != nil {
		return exitFrom(err)
	}
	keys, err := f.apiKeys()
	if err != nil {
		return err
	}
	listeners, err := f.open(ctx)
	defer func() {
		for _, l := range listeners {
			_ = l.Close() // already closed after a complete run
		}
	}()
	if err != nil {
		return err
	}
	service, err := url.Parse(s.BaseURL())
	if err != nil {
		return exitWith(exitConfig, err)
	}
	relay, err := proxy.NewRelay(proxy.RelayConfig{
		Client: name, Upstream: upstream, Service: service, Base: s.HTTPClient().Transport, Key: flow.Secret(key), Keys: keys,
		Log: slog.New(slog.NewTextHandler(p.stderr, nil)),
	})
	if err != nil {
		return exitWith(exitConfig, err)
	}
	base, addrs := baseURL(listeners)
	fmt.Fprintln(p.stdout, base)
	p.tell("%s is %s with the token of %s\n", base, upstream, name)
	if p.listening != nil {
		p.listening(addrs)
	}
	if err := relay.Run(ctx, listeners...); err != nil {
		return exitWith(exitUnavailable, err)
	}
	return ended(ctx)
}

// choose returns the upstream that the flags name. The service checks it with each
// request; this check reports it at once.
func (f proxyFlags) choose(c *tokend.Status) (string, error) {
	var list []*url.URL
	for _, raw := range c.Upstreams {
		if u, err := flow.ParseUpstream(raw, true); err == nil {
			list = append(list, u)
		}
	}
	hint := "list it under clients." + c.Client + ".upstreams (TOKEND_CLIENT_" + config.VariableOf(c.Client) + "_UPSTREAMS) of the service"
	if len(list) == 0 {
		return "", hintf(exitConfig, hint, "client %s has no upstreams", c.Client)
	}
	if f.upstream == "" {
		return list[0].String(), nil
	}
	u, err := flow.ParseUpstream(f.upstream, true)
	if err != nil {
		return "", exitf(exitUsage, "--upstream is not a URL such as https://api.example.com/")
	}
	if flow.Within(list, u) == nil {
		return "", hintf(exitNoPerm, hint, "%s is not in the upstreams of client %s", u, c.Client)
	}
	return u.String(), nil
}

// apiKeys returns the keys of callers over TCP: the key of this command.
func (f proxyFlags) apiKeys() ([]guard.Key, error) {
	if f.listen == "" {
		return nil, nil
	}
	at, err := tokend.Find(locate())
	if err != nil {
		return nil, exitFrom(err)
	}
	key, err := at.ReadKey()
	if err != nil {
		return nil, exitFrom(err)
	}
	if key == "" {
		return nil, hintf(exitConfig, "set TOKEND_API_KEY_FILE to the key of the service, or use --socket",
			"no API key is set, and callers over TCP need one")
	}
	return []guard.Key{{Name: "main", Secret: flow.Secret(key)}}, nil
}

// open opens the listeners, TCP first. With an error it returns those that are open.
func (f proxyFlags) open(ctx context.Context) (ls []net.Listener, err error) {
	if f.listen != "" {
		if ls, err = listenTCP(ctx, "--listen", f.listen); err != nil {
			return ls, err
		}
	}
	if f.socket != "" {
		l, err := listenSocket(ctx, "--socket", f.socket, false)
		if err != nil {
			return ls, err
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// baseURL returns where callers find the listeners.
func baseURL(listeners []net.Listener) (base string, addrs []net.Addr) {
	for _, l := range listeners {
		addrs = append(addrs, l.Addr())
	}
	if first := addrs[0]; first.Network() == "unix" {
		return "unix:" + first.String(), addrs
	}
	return "http://" + addrs[0].String(), addrs
}
