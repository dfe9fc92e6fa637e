package e2e_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"example.com/tokend/e2e/internal/programs"
)

// session returns what the README shows of "$ make run".
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
	return lines(text)
}

// changing are the parts of the session that differ between runs.
var changing = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`(localhost|127\.0\.0\.1):\d+`), "$1:PORT"},
	{regexp.MustCompile(`=\S*/\.run/`), "=DIR/.run/"},
	{regexp.MustCompile(`"/\S*/bin:`), `"DIR/bin:`},
	{regexp.MustCompile(`\.run/demo\.\w+`), ".run/demo.X"},
	{regexp.MustCompile(`"(iat|exp)":\d+`), `"$1":N`},
}

func lines(s string) []string {
	for _, c := range changing {
		s = c.pattern.ReplaceAllString(s, c.with)
	}
	return strings.Split(strings.TrimSpace(s), "\n")
}

// TestReadme_Session: "make run" prints what the README says, line by line, and
// the lines to copy work. With ONCE=1 it ends with exit code 0 and prints no such
// lines, because their service has ended.
func TestReadme_Session(t *testing.T) {
	programs.Tool(t, "make")
	want := session(t)
	once := makeRun(t, "ONCE=1")
	out, err := once.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, once.Stderr)
	}
	toCopy := slices.Index(want, "For another terminal, in this directory:")
	sameLines(t, want[:max(0, toCopy-1)], lines(string(out)))

	text := untilReady(t, makeRun(t))
	sameLines(t, want, lines(text))
	var copied []string
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, "  export ") || strings.HasPrefix(line, "  tokend ") {
			copied = append(copied, line)
		}
	}
	shell := exec.CommandContext(t.Context(), "sh", "-euc", strings.Join(copied, "\n"))
	shell.Dir = ".."
	if out, err := shell.CombinedOutput(); err != nil || !strings.Contains(string(out), `"path":"calls"`) || !strings.Contains(string(out), "\ndemo ") {
		t.Errorf("the lines to copy: %v\n%s", err, out)
	}
}

// makeRun returns "make run" on free ports.
func makeRun(t *testing.T, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "make", "--no-print-directory", "-s", "run")
	cmd.Dir, cmd.Stderr = "..", &strings.Builder{}
	cmd.Env = append(os.Environ(), "MOCKAUTH0_LISTEN=127.0.0.1:0", "TOKEND_LISTEN=127.0.0.1:0", "MAKEFLAGS=", "ONCE=")
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// untilReady starts a run and returns its output once it is ready. The process
// group gets Ctrl-C at the end of the test.
func untilReady(t *testing.T, cmd *exec.Cmd) string {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait() // make reports that it was interrupted
	})
	var text strings.Builder
	for in := bufio.NewScanner(stdout); in.Scan(); {
		text.WriteString(in.Text() + "\n")
		if in.Text() == "Ctrl-C ends them." {
			return text.String()
		}
	}
	t.Fatalf("it ended early:\n%s%s", text.String(), cmd.Stderr)
	return ""
}

func sameLines(t *testing.T, want, got []string) {
	t.Helper()
	for i := range max(len(want), len(got)) {
		w, g := "(no more)", "(no more)"
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if w != g {
			t.Fatalf("line %d\nREADME: %s\nprinted: %s", i+1, w, g)
		}
	}
}

// TestReadme_BlocksAreOfTheGuides: each block that shows how to use it is in a page of
// docs/, whose tests run it. The pictures stay small.
func TestReadme_BlocksAreOfTheGuides(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var guides strings.Builder
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		guides.Write(b)
	}
	_, use, _ := strings.Cut(string(readme), "\n## Use it\n")
	use, _, _ = strings.Cut(use, "\n## ")
	shown := regexp.MustCompile("(?ms)^```[a-z]+\n(.*?)^```$").FindAllStringSubmatch(use, -1)
	if len(shown) < 6 {
		t.Errorf("%d blocks", len(shown))
	}
	for _, block := range shown {
		if !strings.Contains(guides.String(), strings.TrimPrefix(block[1], "$ ")) {
			t.Errorf("no page of docs/ has\n%s", block[1])
		}
	}
	pictures, err := filepath.Glob("../docs/images/*.png")
	if err != nil || len(pictures) == 0 {
		t.Fatal(pictures, err)
	}
	for _, name := range pictures {
		if info, err := os.Stat(name); err != nil || info.Size() > 150_000 {
			t.Errorf("%s: more than 150 KB, or %v", name, err)
		}
	}
}
