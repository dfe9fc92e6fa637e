package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// caCommand prints the CA of a running tenant on stdout, and how to use it on stderr.
func (p *program) caCommand() *cobra.Command {
	var url string
	c := &cobra.Command{
		Use: "ca", Short: "Print the CA certificate of a running tenant and how to trust it", Args: cobra.NoArgs,
		Example: "  mockauth0 ca > ca.pem",
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.ca(cmd.Context(), url) },
	}
	c.Flags().StringVar(&url, "url", "", "address of the tenant's plain listener (default: from MOCKAUTH0_LISTEN)")
	return c
}

func (p *program) ca(ctx context.Context, url string) error {
	base, err := controlURL(url)
	if err != nil {
		return err
	}
	body, err := get(ctx, base+"_mock/ca.pem")
	if err != nil {
		return &exitError{exitUnavailable, fmt.Errorf("cannot get the CA from %s: %w\nhint: start the tenant with MOCKAUTH0_TLS_LISTEN=127.0.0.1:8443", base, err)}
	}
	if _, err := p.stdout.Write(body); err != nil {
		return err
	}
	_, err = fmt.Fprint(p.stderr, "mockauth0: the certificate is on standard output; with it in a file ca.pem, use one of\n"+
		"  export SSL_CERT_FILE=$PWD/ca.pem         # Go, OpenSSL, Python's ssl\n"+
		"  export NODE_EXTRA_CA_CERTS=$PWD/ca.pem   # Node\n"+
		"  export REQUESTS_CA_BUNDLE=$PWD/ca.pem    # Python's requests\n"+
		"  curl --cacert ca.pem …\n")
	return err
}
