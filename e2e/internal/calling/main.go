// Command calling is a Go program that uses pkg/tokend: it calls an API with the token of
// client demo until its standard input ends, and prints how often.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"example.com/tokend/pkg/tokend"
)

func main() {
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is what counts
		close(ended)
	}()
	calls := 0
	for {
		if err := call(context.Background(), os.Getenv("API")+"/calls"); err != nil {
			log.Fatal(err)
		}
		calls++
		select {
		case <-ended:
			_, _ = fmt.Fprintln(os.Stdout, calls) // a closed pipe is the end as well
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// call is what docs/agents.md shows.
func call(ctx context.Context, url string) error {
	c, err := tokend.Dial("")
	if err != nil {
		return err
	}
	t, err := c.Token(ctx, tokend.TokenRequest{Client: "demo", MinValidity: 5 * time.Second})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil) //nolint:gosec // the test's own API
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+t.AccessToken.Reveal())
	resp, err := http.DefaultClient.Do(req) //nolint:gosec // as above
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}
