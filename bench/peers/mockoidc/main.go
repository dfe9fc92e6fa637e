// Command mockoidc serves oauth2-proxy's mockoidc on a free port.
package main

import (
	"fmt"
	"net"
	"os"

	"github.com/oauth2-proxy/mockoidc"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mockoidc:", err)
		os.Exit(1)
	}
}

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
	fmt.Printf("listening %d\n", l.Addr().(*net.TCPAddr).Port)
	select {}
}
