package referees_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// packages returns the folder of the npm packages that the lock file pins.
func packages(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("npm", "node_modules")
	if _, err := os.Stat(filepath.Join(dir, ".package-lock.json")); err != nil {
		lacking(t, "e2e/referees/npm/node_modules")
	}
	return dir
}

// nodejs returns the Node.js to use: the one that scripts/deps.sh has installed
// where the system's is too old, or else the system's.
func nodejs(t *testing.T) string {
	t.Helper()
	pinned, err := filepath.Glob(filepath.Join("node", "node_modules", "*", "bin", "node"))
	if err != nil || len(pinned) == 0 {
		return tool(t, "node")
	}
	path, err := filepath.Abs(pinned[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// script is a running npm/NAME.mjs or python/NAME.py. It asks and reports in JSON, one
// value a line, and the test answers likewise: see npm/dialogue.mjs.
type script struct {
	t      *testing.T
	in     io.WriteCloser
	out    *bufio.Scanner
	stderr *bytes.Buffer
	done   chan error
}

// startScript runs npm/NAME.mjs, as start does.
func startScript(t *testing.T, ten *tenant, name string, settings object) *script {
	t.Helper()
	node := nodejs(t)
	packages(t)
	return start(t, name+".mjs", "npm", []string{"NODE_EXTRA_CA_CERTS=" + ten.ca}, settings, node, name+".mjs")
}

// start runs a script with its settings until it ends by itself, which it must do
// without an error.
func start(t *testing.T, name, dir string, env []string, settings object, command ...string) *script {
	t.Helper()
	conf, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(append(clean(), env...), "SETTINGS="+string(conf))
	s := &script{t: t, stderr: &bytes.Buffer{}, done: make(chan error, 1)}
	cmd.Stderr = s.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if s.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	s.out = bufio.NewScanner(out)
	s.out.Buffer(nil, 4<<20)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.in.Close()
		for s.out.Scan() { //nolint:revive // Wait closes the pipe, so it is read to its end before
		}
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Errorf("%s: %v\n%s", name, err, s.stderr)
		}
		cancel()
	})
	return s
}

// read reads what the script says next.
func (s *script) read(into any) {
	s.t.Helper()
	if !s.out.Scan() {
		s.t.Fatalf("the script ended\n%s", s.stderr)
	}
	d := json.NewDecoder(bytes.NewReader(s.out.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		s.t.Fatalf("%v in %s", err, s.out.Bytes())
	}
}

// answer answers what the script asked.
func (s *script) answer(v any) {
	s.t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		_, err = s.in.Write(append(b, '\n'))
	}
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.stderr)
	}
}
