// Command mockoidc serves oauth2-proxy's mockoidc on a free port.
package main

import (
	"fmt"
	"net"
	"os"

	"github.com/oauth2-proxy/mockoidc"
)

func main() {
	fmt.Fprintln(os.Stderr, "mockoidc:", run())
	os.Exit(1)
}

// run returns only if the server cannot start.
func run() error {
	m, err := mockoidc.NewServer(nil)
	if err != nil {
		return err
	}
	m.ClientID, m.ClientSecret = "demo", "demo-secret"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := m.Start(l, nil); err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "listening %d\n", l.Addr().(*net.TCPAddr).Port)
	select {}
}
