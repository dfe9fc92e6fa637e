// Command limit is what no mock in Go with a key of four primes can be faster than: it
// answers /authorize and /oauth/token without reading the request, with as many
// signatures as a real answer has.
package main

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "limit:", err)
		os.Exit(1)
	}
}

func run() error {
	prime, err := rand.Prime(rand.Reader, 512)
	if err != nil {
		return err
	}
	token := strings.Repeat("a", 700)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.FormValue("redirect_uri")+"?code=c&state=s", http.StatusFound) //nolint:gosec // the lower limit checks nothing
	})
	mux.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, r *http.Request) {
		n := 2 // an access token and an ID token
		if r.FormValue("grant_type") == "client_credentials" {
			n = 0 // the token of a moment ago
		}
		for range 4 * n {
			new(big.Int).Exp(big.NewInt(3), new(big.Int).Sub(prime, big.NewInt(2)), prime)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":%q,"refresh_token":"r","id_token":%q,"token_type":"Bearer"}`, token, token)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "listening %d\n", l.Addr().(*net.TCPAddr).Port)
	return http.Serve(l, mux) //nolint:gosec // no timeouts: it is the lower limit
}
