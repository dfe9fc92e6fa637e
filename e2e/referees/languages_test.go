package referees_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// section is a part of a page of the documentation, with its shell blocks.
type section struct {
	title  string
	blocks []string
}

// sections returns those of docs/mock-languages.md that have shell blocks.
func sections(t *testing.T) []section {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "mock-languages.md"))
	if err != nil {
		t.Fatal(err)
	}
	var out []section
	for _, text := range strings.Split(string(page), "\n## ")[1:] {
		s := section{title: strings.SplitN(text, "\n", 2)[0]}
		for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
			s.blocks = append(s.blocks, m[1])
		}
		if len(s.blocks) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// TestLanguages runs the shell blocks of docs/mock-languages.md as they are printed, in a
// copy of the examples. Only ports are replaced, and mockauth0 comes from a registry that
// has the packages of this checkout. "npm ci" asks the real one for what its cache lacks.
func TestLanguages(t *testing.T) {
	all := sections(t)
	if len(all) != 3 {
		t.Fatalf("%d sections have blocks", len(all))
	}
	for _, s := range all {
		t.Run(s.title, func(t *testing.T) {
			t.Parallel()
			dir, tenant, app := t.TempDir(), strconv.Itoa(freePort(t)), strconv.Itoa(freePort(t))
			ports := strings.NewReplacer(":8400", ":"+tenant, ":3000", ":"+app, "listen(3000", "listen("+app)
			copyExamples(t, filepath.Join(dir, "examples"), ports)
			env := clean()
			if strings.Contains(strings.Join(s.blocks, ""), "npm ") {
				env = fromRegistry(t)
			}
			env = append(env, "MOCKAUTH0_LISTEN=127.0.0.1:"+tenant, "CI=true", "PYTHONDONTWRITEBYTECODE=1")
			env = append(env, "PATH="+toolsOf(t, s.title)+string(os.PathListSeparator)+pathOf(env))
			for i, block := range s.blocks {
				if out, err := runBlock(t, dir, env, ports.Replace(block)); err != nil {
					t.Fatalf("block %d: %v\n%s\nprinted:\n%s", i+1, err, block, out)
				}
			}
			wantGone(t, "http://localhost:"+tenant+"/")
		})
	}
}

// toolsOf returns a folder with the programs of a section that have other names or
// places on some systems.
func toolsOf(t *testing.T, title string) string {
	t.Helper()
	dir := t.TempDir()
	link := func(name, target string) {
		t.Helper()
		target, err := exec.LookPath(target) // absolute, because the script has the same name
		if err != nil {
			t.Fatal(err)
		}
		script := "#!/bin/sh\nexec '" + target + "' \"$@\"\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	switch title {
	case "Playwright":
		link("chromium", chromiumPath(t))
	case "Python":
		link("python3", python(t))
		link("mockauth0", mockauth0)
	}
	return dir
}

// pathOf returns the PATH of an environment.
func pathOf(env []string) string {
	for _, kv := range slices.Backward(env) {
		if path, found := strings.CutPrefix(kv, "PATH="); found {
			return path
		}
	}
	return ""
}

// runBlock runs a block, and ends what it leaves running.
func runBlock(t *testing.T, dir string, env []string, block string) ([]byte, error) {
	t.Helper()
	if strings.Contains(block, "npm ci") { // all but mockauth0
		env = append(slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
			return strings.HasPrefix(kv, "npm_config_registry=") || strings.HasPrefix(kv, "npm_config_cache=")
		}), "npm_config_prefer_offline=true")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-euc", block)
	cmd.Dir, cmd.Env = dir, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	log, err := os.Create(filepath.Join(t.TempDir(), "log")) // a pipe would wait for what runs in the background
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	err = cmd.Run()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	out, _ := os.ReadFile(log.Name())
	return out, err
}

// copyExamples copies the files of the examples that are in the repository.
func copyExamples(t *testing.T, to string, ports *strings.Replacer) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "--cached", "--others", "--exclude-standard", "examples")
	list.Dir = filepath.Join("..", "..")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(out)) {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(name, "examples/playwright/") { // the callbacks of the built-in tenant have a fixed port
			text = []byte(ports.Replace(string(text)))
		}
		file := filepath.Join(to, strings.TrimPrefix(name, "examples/"))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
