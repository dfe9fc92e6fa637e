package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// program is a server to start: it prints a line with its port when it listens.
type program struct {
	name string
	args []string
	env  []string
	path string // answers 200 when it serves
}

// server is a running program.
type server struct {
	program
	base string // URL without a slash at the end
	cmd  *exec.Cmd
}

var portLine = regexp.MustCompile(`(?:listening (?:127\.0\.0\.1:)?|issuer http://localhost:)(\d+)`)

// start starts a program, and returns it with the time to its first 200.
func start(ctx context.Context, p program) (*server, time.Duration, error) {
	cmd := exec.CommandContext(ctx, p.args[0], p.args[1:]...) //nolint:gosec // a program of the list
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdin = strings.NewReader("hello\n")
	r, w, err := os.Pipe()
	if err != nil {
		return nil, 0, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	began := time.Now()
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		return nil, 0, err
	}
	s := &server{program: p, cmd: cmd}
	lines := bufio.NewReader(r)
	var said strings.Builder
	for s.base == "" {
		line, err := lines.ReadString('\n')
		said.WriteString(line)
		if m := portLine.FindStringSubmatch(line); m != nil {
			s.base = "http://127.0.0.1:" + m[1]
		} else if err != nil {
			s.stop()
			return nil, 0, fmt.Errorf("%s does not serve: %s", p.name, said.String())
		}
	}
	go func() { _, _ = io.Copy(io.Discard, lines); _ = r.Close() }() // ends with the program
	err = get(ctx, s.base+p.path)
	took := time.Since(began)
	if err != nil {
		s.stop()
		return nil, 0, err
	}
	return s, took, nil
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	t := &http.Transport{DisableKeepAlives: true}
	res, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	return nil
}

// cpu returns the CPU time that the program has used, of its threads that ended too.
// The clock of another process has nanoseconds where /proc/PID/stat has hundredths of a
// second; clock_getcpuclockid(3) calculates its id like this.
func (s *server) cpu() (time.Duration, error) {
	return clock(int32(^s.cmd.Process.Pid<<3 | 2)) //nolint:gosec // a process id is small
}

func clock(id int32) (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		return 0, fmt.Errorf("CPU time: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}

// resident returns the resident memory in MiB.
func (s *server) resident() (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	return float64(kib) / 1024, err
}
