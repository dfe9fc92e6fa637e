package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkClients starts tokend with a configuration file of 100,000 clients that wait
// for a login, and with one client. The metrics are the processor time and the time until it
// listens, the memory of a client when all have read the store, the processor time that
// this took, and the processor time of two idle minutes: the Go runtime collects garbage
// once in that time, whatever happens.
func BenchmarkClients(b *testing.B) {
	bin := binaries(b)
	const many = 100_000
	var cpuStart, start, perClient, cpuLoad, idle float64
	for b.Loop() {
		_, empty, _ := clients(b, bin, 1)
		base := resident(b, empty.Process.Pid)
		_ = empty.Process.Kill()
		_ = empty.Wait()
		took, cmd, atListen := clients(b, bin, many)
		pid := cmd.Process.Pid
		start += took.Seconds()
		cpuStart += atListen
		loaded := quiet(b, pid)
		cpuLoad += loaded - atListen
		perClient += float64(resident(b, pid)-base) / many
		time.Sleep(2 * time.Minute)
		idle += cpuOf(b, pid) - loaded
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	n := float64(b.N)
	b.ReportMetric(cpuStart/n, "cpu-s/start")
	b.ReportMetric(start/n, "s/start")
	b.ReportMetric(cpuLoad/n, "cpu-s/load")
	b.ReportMetric(perClient/n, "KiB/client")
	b.ReportMetric(idle/n/120*100, "%cpu-idle")
}

// clients starts tokend with n clients, and returns when it listens and what processor
// time it has used then.
func clients(b *testing.B, bin string, n int) (time.Duration, *exec.Cmd, float64) {
	b.Helper()
	dir := b.TempDir()
	secret := filepath.Join(dir, "secret")
	var file strings.Builder
	file.WriteString("clients:\n")
	for i := range n {
		fmt.Fprintf(&file, "  client-%d:\n    issuer: https://acme.eu.auth0.com/\n    client_id: id-%d\n    client_secret_file: %s\n    audience: https://api.example.com/\n    login: paste\n", i, i, secret)
	}
	for path, text := range map[string]string{secret: "the-secret", filepath.Join(dir, "tokend.yaml"): file.String()} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	env := []string{"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "TOKEND_CONFIG=" + filepath.Join(dir, "tokend.yaml"), "TOKEND_LISTEN=127.0.0.1:0", "TOKEND_SOCKET=off"}
	began := time.Now()
	log := filepath.Join(dir, "log")
	f, err := os.Create(log)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(bin+"/tokend", "serve")
	cmd.Stderr, cmd.Env = f, append(os.Environ(), env...)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	_ = f.Close()
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 12_000 { // two minutes: other processes may need the processors
		if out, err := os.ReadFile(log); err == nil && listenLine.Match(out) {
			return time.Since(began), cmd, cpuOf(b, cmd.Process.Pid)
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.Fatal("tokend does not serve")
	return 0, nil, 0
}

// quiet waits until a process uses little processor time, and returns what it has used.
func quiet(b *testing.B, pid int) float64 {
	b.Helper()
	before := cpuOf(b, pid)
	for range 120 {
		time.Sleep(2 * time.Second)
		now := cpuOf(b, pid)
		if now-before < 0.1 {
			return now
		}
		before = now
	}
	b.Fatal("tokend is never idle")
	return 0
}

// cpuOf returns the processor time that a process has used, in seconds; 0 without /proc.
func cpuOf(b *testing.B, pid int) float64 {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	ticks := 0
	for _, at := range []int{11, 12} { // utime and stime, proc_pid_stat(5)
		n, err := strconv.Atoi(fields[at])
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return float64(ticks) / 100
}
