package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var relayLine = regexp.MustCompile(`(?m)^(\S+) is .* with the token of `)

// relay ARGS starts "tokend proxy" and sets $BASE to its URL; "down proxy" ends
// it.
func relay(ts *testscript.TestScript, _ bool, args []string) {
	stdout, err := os.Create(ts.MkAbs("proxy.out"))
	ts.Check(err)
	stderr, err := os.Create(ts.MkAbs("proxy.log"))
	ts.Check(err)
	cmd := exec.Command(filepath.Join(bin, "tokend"), append([]string{"proxy"}, args...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), environ(ts), stdout, stderr
	ts.Check(cmd.Start())
	ts.Check(stdout.Close())
	ts.Check(stderr.Close())
	p := &process{cmd: cmd, log: stderr.Name(), done: make(chan error, 1)}
	go func() { p.done <- cmd.Wait() }()
	ts.Value(procsKey{}).(map[string]*process)["proxy"] = p
	ts.Setenv("BASE", waitLog(ts, p, relayLine))
}

// steadily DURATION COMMAND… repeats a command for that long; each run must
// succeed.
func steadily(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	n := 0
	for end := time.Now().Add(d); time.Now().Before(end); n++ {
		if err := ts.Exec(args[1], args[2:]...); err != nil {
			ts.Fatalf("the run number %d: %v\n%s", n+1, err, ts.ReadFile("stdout")+ts.ReadFile("stderr"))
		}
	}
	ts.Logf("%d runs", n)
}
