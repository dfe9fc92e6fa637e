package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// recordWhile runs a recorder until use returns, and returns what it logs after that.
func recordWhile(t *testing.T, upstream, out string, use func(recorder string)) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- (&program{args: []string{"record", "--upstream", upstream, "--out", out, "--listen", "127.0.0.1:0"}, stdout: io.Discard, stderr: w}).main(ctx)
		_ = w.Close()
	}()
	lines := bufio.NewReader(log)
	first, err := lines.ReadString('\n')
	at := regexp.MustCompile(` at (http://\S+),`).FindStringSubmatch(first)
	if err != nil || at == nil {
		t.Fatalf("%q %v", first, err)
	}
	use(at[1])
	stop()
	rest, err := io.ReadAll(lines)
	if got := <-code; got != 0 || err != nil {
		t.Errorf("exit code %d, %v", got, err)
	}
	return strings.ReplaceAll(string(rest), at[1], "RECORDER")
}

// A recorder that recorded nothing says why, and what to do.
func TestRecord_SaysWhyItHasNoCase(t *testing.T) {
	upstream := start(t, 1, nil).issuers[0]
	get := func(path string) func(string) {
		return func(recorder string) {
			res, err := http.Get(recorder + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
		}
	}
	for what, c := range map[string]struct {
		use  func(recorder string)
		want string
	}{
		"nothing": {func(string) {}, "mockauth0: recorded 0 cases: nothing was requested\n" +
			"hint: while it runs, use the application with the issuer's endpoints at RECORDER\n"},
		"a page": {get("_mock/health"), "mockauth0: recorded 0 cases of 1 request\n" +
			"hint: log in and get a token at RECORDER; pages are not recorded\n" +
			"mockauth0: not recorded: 1 × endpoint that is not recorded\n"},
		"a case": {get(".well-known/jwks.json"), "mockauth0: recorded 1 case\n"},
	} {
		if got := recordWhile(t, upstream, filepath.Join(t.TempDir(), "cases.json"), c.use); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}

// A check of nothing is not a success.
func TestContract_FailsIfNothingIsCompared(t *testing.T) {
	issuer := start(t, 1, nil).issuers[0]
	cases := filepath.Join(t.TempDir(), "cases.json")
	for what, c := range map[string]struct {
		cases string
		flags []string
		code  int
		want  string
	}{
		"an empty recording": {`{"jwt":{},"cases":[]}`, nil, exitConfig, "mockauth0: --cases: CASES: contract: the recording has no case\nhint: record again"},
		"no recording":       {`x`, nil, exitConfig, "hint: make the file with mockauth0 record"},
		"cases that need a user": {
			`{"jwt":{},"cases":[{"id":"login","request":{"method":"GET","path":"/authorize"},"setup":["session"],"portable":true,"status":302}]}`, nil,
			exitFailure, "mockauth0: nothing was compared: 1 case, 1 skipped, 0 not applicable\nhint: give what the skipped cases need, such as a user",
		},
		"a recording and the Management API": {
			`{"jwt":{},"cases":[{"id":"login","request":{"method":"GET","path":"/authorize"},"portable":true,"status":302}]}`,
			[]string{"--management"},
			exitConfig, "a recording has no cases of the Management API, so the two cannot be combined\nhint: leave one of them out",
		},
	} {
		if err := os.WriteFile(cases, []byte(c.cases), 0o600); err != nil {
			t.Fatal(err)
		}
		args := append([]string{"contract", "--issuer", issuer, "--cases", cases, "--client-id", "demo"}, c.flags...)
		code, _, errs := execute(t, args...)
		if errs = strings.ReplaceAll(errs, cases, "CASES"); code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%s: %d %s, want %d %s", what, code, errs, c.code, c.want)
		}
	}
}

// A replay of nothing would be a mock without the answers that were asked for.
func TestServe_RefusesAnEmptyRecording(t *testing.T) {
	cases := filepath.Join(t.TempDir(), "cases.json")
	if err := os.WriteFile(cases, []byte(`{"jwt":{},"cases":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MOCKAUTH0_LISTEN", "127.0.0.1:0")
	if code, _, errs := execute(t, "serve", "--replay", cases); code != exitConfig || !strings.Contains(errs, "the recording has no case\nhint: record again") {
		t.Errorf("%d %s", code, errs)
	}
	if code, _, errs := execute(t, "serve", "--replay", cases+".none"); code != exitConfig || !strings.Contains(errs, "hint: make the file with mockauth0 record") {
		t.Errorf("%d %s", code, errs)
	}
}
