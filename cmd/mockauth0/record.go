package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"example.com/tokend/internal/recording"
	"example.com/tokend/pkg/contract"
	"example.com/tokend/pkg/mock"
)

const recordHelp = `Pass requests on to an issuer, and write its answers as cases for mockauth0 contract
--cases and mockauth0 serve --replay.

The file has no secrets: codes, tokens, passwords, cookies, names and addresses are
placeholders. Pages are passed on and not recorded. Endpoints in the metadata lead here;
the issuer stays the upstream's, because its tokens name it.`

// recordFlags are the flags of "mockauth0 record".
type recordFlags struct{ upstream, out, listen string }

func (p *program) recordCommand() *cobra.Command {
	var f recordFlags
	c := &cobra.Command{
		Use: "record", Short: "Record an issuer's answers as contract cases, without secrets", Long: recordHelp, Args: cobra.NoArgs,
		Example: "  mockauth0 record --upstream https://tenant.example.com/ --out tenant.json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.record(cmd.Context(), f) },
	}
	c.Flags().StringVar(&f.upstream, "upstream", "", "issuer with a trailing slash (required)")
	c.Flags().StringVar(&f.out, "out", "", "file for the cases, which is replaced (required)")
	c.Flags().StringVar(&f.listen, "listen", "127.0.0.1:8401", "loopback address")
	return c
}

func (p *program) record(ctx context.Context, f recordFlags) error {
	switch {
	case f.upstream == "" || f.out == "":
		return fmt.Errorf("--upstream and --out are required")
	case !isLoopback(f.listen):
		return configError("--listen: %s is not a loopback address\nhint: listen on 127.0.0.1; a recorder passes on secrets", f.listen)
	}
	var open opened
	defer open.close()
	listeners, err := open.listen(ctx, f.listen, "--listen")
	if err != nil {
		return err
	}
	own := issuerOf("http", f.listen, listeners[0].Addr())
	var failed error
	r, err := recording.New(f.upstream, own, &http.Transport{Proxy: http.ProxyFromEnvironment}, func(rec *contract.Recording) {
		failed = writeRecording(f.out, rec)
	})
	if err != nil {
		return configError("--upstream: %w", err)
	}
	if err := writeRecording(f.out, &contract.Recording{Cases: []contract.Case{}}); err != nil {
		return configError("--out: %w", err)
	}
	fmt.Fprintf(p.stderr, "mockauth0: recording %s at %s, to %s\n", f.upstream, own, f.out)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return serveEndpoints(ctx, settings{}.logger(p.stderr), []endpoint{{handler: r, listeners: listeners}})
	})
	if err := group.Wait(); err != nil {
		return err
	}
	p.summary(r, own)
	return failed
}

// summary says what was recorded. If that is nothing, the cause is usually that the
// application uses another address.
func (p *program) summary(r *recording.Recorder, own string) {
	s := r.Summary()
	switch {
	case s.Requests == 0:
		fmt.Fprintf(p.stderr, "mockauth0: recorded 0 cases: nothing was requested\n"+
			"hint: while it runs, use the application with the issuer's endpoints at %s\n", own)
	case s.Cases == 0:
		fmt.Fprintf(p.stderr, "mockauth0: recorded 0 cases of %s\n"+
			"hint: log in and get a token at %s; pages are not recorded\n", counted(s.Requests, "request"), own)
	default:
		fmt.Fprintf(p.stderr, "mockauth0: recorded %s\n", counted(s.Cases, "case"))
	}
	for _, why := range slices.Sorted(maps.Keys(s.Skipped)) {
		fmt.Fprintf(p.stderr, "mockauth0: not recorded: %d × %s\n", s.Skipped[why], why)
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// writeRecording replaces the file.
func writeRecording(name string, r *contract.Recording) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return err
	}
	tmp := name + ".tmp"
	if err := os.WriteFile(tmp, b.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}

func readRecording(name string) (*contract.Recording, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%w\nhint: make the file with mockauth0 record", err)
	}
	rec, err := contract.ReadRecording(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", name, withHints(err))
	}
	return rec, nil
}

// replayer returns what puts the recording of the settings before a tenant. Both sign
// with the same new key.
func (s settings) replayer(list []hosted, b base, c *mock.Config) (func(http.Handler) http.Handler, error) {
	if s.Replay == "" {
		return func(h http.Handler) http.Handler { return h }, nil
	}
	if list[0].name != "" || b == "" || s.BrowserURL != "" || s.TLSListen != "" {
		return nil, configError("MOCKAUTH0_REPLAY needs one tenant with one address\n" +
			"hint: unset MOCKAUTH0_TENANTS, MOCKAUTH0_BROWSER_URL and MOCKAUTH0_TLS_LISTEN, and set MOCKAUTH0_ISSUER to a URL or not at all")
	}
	rec, err := readRecording(s.Replay)
	if err != nil {
		return nil, configError("MOCKAUTH0_REPLAY: %w", err)
	}
	k, err := mock.GenerateKey()
	if err != nil {
		return nil, err
	}
	k.ID = "mockauth0-replay-key0" // of 21 characters, as at Auth0
	c.Keys = []mock.Key{k}
	return func(next http.Handler) http.Handler {
		return recording.NewReplay(recording.Config{
			Recording: rec, Issuer: b.of(""), KeyID: k.ID, Key: k.Private, Now: list[0].tenant.Now, Next: next,
		})
	}, nil
}
