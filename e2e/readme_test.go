package e2e_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"example.com/tokend/e2e/internal/programs"
)

// session extracts what the README shows of "$ make run".
func session(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(b), "$ make run\n")
	text, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("the README has no session of make run")
	}
	text, _, _ = strings.Cut(text, "\nCtrl-C ends both.") // ONCE=1 does not wait for it
	return lines(text)
}

// changing are the parts of the session that differ from run to run.
var changing = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`localhost:\d+`), "localhost:PORT"},
	{regexp.MustCompile(`\.run/demo\.\w+`), ".run/demo.X"},
	{regexp.MustCompile(`"(iat|exp)":\d+`), `"$1":N`},
}

func lines(s string) []string {
	for _, c := range changing {
		s = c.pattern.ReplaceAllString(s, c.with)
	}
	return strings.Split(strings.TrimSpace(s), "\n")
}

// TestReadmeSession: "make run" prints what the README says, line by line, and
// ONCE=1 ends with exit code 0.
func TestReadmeSession(t *testing.T) {
	programs.Tool(t, "make")
	cmd := exec.CommandContext(t.Context(), "make", "--no-print-directory", "-s", "run")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "ONCE=1", "MOCKAUTH0_LISTEN=127.0.0.1:0", "TOKEND_LISTEN=127.0.0.1:0", "MAKEFLAGS=")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr.String())
	}
	want, got := session(t), lines(string(out))
	for i := range max(len(want), len(got)) {
		w, g := "", ""
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if w != g {
			t.Fatalf("line %d\nREADME: %s\nprinted: %s\n%s", i+1, w, g, stderr.String())
		}
	}
}
