package e2e_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tokend/e2e/internal/programs"
	"example.com/tokend/internal/openapi"
)

// openAPI is docs/openapi.yaml, which every answer of tokend is compared with.
var openAPI = sync.OnceValues(func() (*openapi.Document, error) {
	return openapi.Load(filepath.Join("..", "docs", "openapi.yaml"))
})

// compared returns a client of tokend. The test fails if docs/openapi.yaml does not have
// an answer.
func compared(t *testing.T) *http.Client {
	t.Helper()
	d, err := openAPI()
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{
		Transport: d.Transport(&http.Transport{DisableKeepAlives: true}, func(err error) { t.Error(err) }),
		Timeout:   time.Minute,
	}
}

// comparedConnection fails the test if docs/openapi.yaml does not have an answer to a
// request as it is on the wire.
func comparedConnection(t *testing.T, request string, answer io.Reader) {
	t.Helper()
	d, err := openAPI()
	if err == nil {
		err = d.CheckConnection(strings.NewReader(request), answer)
	}
	if err != nil {
		t.Error(err)
	}
}

// relays are in front of the services that curl asks in a test.
type relays struct {
	all  []*openapi.Relay
	args []string
}

// add makes curl reach the service on a port of 127.0.0.1 through a relay.
func (r *relays) add(port string) error {
	d, err := openAPI()
	if err != nil {
		return err
	}
	relay, err := d.Relay("127.0.0.1:" + port)
	if err != nil {
		return err
	}
	r.all = append(r.all, relay)
	r.args = append(r.args, "--connect-to :"+port+":127.0.0.1:"+relay.Port())
	return nil
}

// variable is for the curl of [curlFolder].
func (r *relays) variable() string { return strings.Join(r.args, " ") }

// close returns what docs/openapi.yaml does not have.
func (r *relays) close() (deviations []string) {
	for _, relay := range r.all {
		if err := relay.Close(); err != nil {
			deviations = append(deviations, err.Error())
		}
	}
	return deviations
}

const relayVariable = "CURL_RELAYS"

// curlFolder returns a folder for the PATH with a curl that uses the relays of its
// environment.
func curlFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	script := "#!/bin/sh\nexec '" + programs.Tool(t, "curl") + "' \"$@\" $" + relayVariable + "\n"
	if err := os.WriteFile(filepath.Join(folder, "curl"), []byte(script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return folder
}
