package services_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"

	"example.com/tokend/e2e/internal/programs"
)

const units = root + "/deploy/systemd"

// TestUnits: systemd finds nothing to say about the units, and little that the
// service could do in addition to its work.
func TestUnits(t *testing.T) {
	analyze := programs.Tool(t, "systemd-analyze")
	for flavour, flags := range map[string][]string{"system": nil, "user": {"--user"}} {
		t.Run(flavour, func(t *testing.T) {
			dir := programs.Folder(t)
			args := append([]string{"verify", "--man=no"}, flags...)
			for _, name := range []string{"tokend.service", "tokend.socket"} {
				text := read(t, filepath.Join(units, flavour, name))
				for _, path := range []string{"/usr/local/bin/tokend", "%h/.local/bin/tokend"} { // it must exist
					text = strings.ReplaceAll(text, path, filepath.Join(bin, "tokend"))
				}
				args = append(args, write(t, filepath.Join(dir, name), text, 0o600))
			}
			cmd := exec.Command(analyze, args...)
			cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
			if out, err := cmd.CombinedOutput(); err != nil || len(out) != 0 {
				t.Errorf("systemd-analyze %q: %v\n%s", args, err, out)
			}
		})
	}
	t.Run("exposure", func(t *testing.T) { // in tenths, of 100
		if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=15", filepath.Join(units, "system/tokend.service")).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("sysusers", func(t *testing.T) {
		file, err := filepath.Abs(filepath.Join(units, "sysusers.d/tokend.conf"))
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(programs.Tool(t, "systemd-sysusers"), "--dry-run", file).CombinedOutput()
		if err != nil || strings.Contains(string(out), "ignoring") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// settings are the lines of a unit, as "Section.Name".
func settings(t *testing.T, file string) map[string][]string {
	t.Helper()
	options, err := unit.DeserializeOptions(strings.NewReader(read(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, o := range options {
		name := o.Section + "." + o.Name
		all[name] = append(all[name], o.Value)
	}
	return all
}

// sockets opens what a socket unit lists: the paths under dir, TCP on ports of
// the test's own.
func sockets(t *testing.T, list map[string][]string, dir string) (files []*os.File, tcp, path string) {
	t.Helper()
	for _, stream := range list["Socket.ListenStream"] {
		var l net.Listener
		var err error
		switch host, _, _ := net.SplitHostPort(stream); host {
		case "":
			path = filepath.Join(dir, filepath.Base(stream))
			l, err = net.Listen("unix", path)
			if err == nil {
				err = os.Chmod(path, mode(t, list["Socket.SocketMode"]))
			}
		default:
			l, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
			if err != nil && host == "::1" {
				continue // no IPv6 here
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if tcp == "" && l.Addr().Network() == "tcp" {
			tcp = l.Addr().String()
		}
		f, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = f.Close(), l.Close() })
		files = append(files, f)
	}
	return files, tcp, path
}

func mode(t *testing.T, value []string) os.FileMode {
	t.Helper()
	var m uint32
	if len(value) != 1 {
		t.Fatalf("SocketMode=%q", value)
	}
	if _, err := fmt.Sscanf(value[0], "%o", &m); err != nil {
		t.Fatal(err)
	}
	return os.FileMode(m)
}

// notified is the manager's end of NOTIFY_SOCKET.
func notified(t *testing.T, path string) func(want string) {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return func(want string) {
		t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		buf, seen := make([]byte, 4096), []string{}
		for {
			n, err := c.Read(buf)
			if err != nil {
				t.Fatalf("%s did not come, but %q", want, seen)
			}
			seen = append(seen, string(buf[:n]))
			if strings.Contains(string(buf[:n]), want) {
				return
			}
		}
	}
}

// TestStartedByAUnit starts tokend as systemd does by the units: with their
// sockets as descriptors 3 and on, their directories and credentials.
func TestStartedByAUnit(t *testing.T) {
	for _, flavour := range []string{"system", "user"} {
		t.Run(flavour, func(t *testing.T) {
			service := settings(t, filepath.Join(units, flavour, "tokend.service"))
			socket := settings(t, filepath.Join(units, flavour, "tokend.socket"))
			dir, issuer := programs.Folder(t), mockauth0(t)
			files, tcp, path := sockets(t, socket, dir)
			says := notified(t, filepath.Join(dir, "notify"))

			command := strings.Fields(service["Service.ExecStart"][0])
			command[0] = filepath.Join(bin, filepath.Base(command[0]))
			cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, command...)...)
			cmd.ExtraFiles = files
			names := strings.Repeat(socket["Socket.FileDescriptorName"][0]+":", len(files))
			cmd.Env = append(unitEnvironment(t, service, dir, issuer),
				fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES="+strings.TrimSuffix(names, ":"),
				"NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "WATCHDOG_USEC=100000")
			p := programs.Start(t, cmd)

			says("READY=1")
			says("STATUS=1 of 1 clients ready")
			says("WATCHDOG=1")
			env := []string{"TOKEND_ADDR=unix:" + path}
			token := output(t, env, filepath.Join(bin, "tokend"), "token", "demo")
			if strings.Count(token, ".") != 2 {
				t.Errorf("over the socket: %q", token)
			}
			env = []string{"TOKEND_ADDR=http://" + tcp, "TOKEND_API_KEY=" + apiKey}
			if again := output(t, env, filepath.Join(bin, "tokend"), "token", "demo"); again != token {
				t.Errorf("over TCP: %q", again)
			}
			p.End(t)
			says("STOPPING=1")
			if _, err := os.Stat(path); err != nil {
				t.Errorf("the unit's socket is gone: %v", err)
			}
			if want := filepath.Join(dir, stateOf(service), "tokend.db"); !exists(want) {
				t.Errorf("%s is not there\n%s", want, p.Log)
			}
		})
	}
}

const apiKey = "0123456789abcdef0123456789abcdef"

// unitEnvironment is what systemd would set for the service: of the system's,
// directories and credentials by its settings; of a user's, the session's.
func unitEnvironment(t *testing.T, service map[string][]string, dir, issuer string) []string {
	t.Helper()
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir,
		"TOKEND_CLIENTS=demo", "TOKEND_CLIENT_DEMO_ISSUER=" + issuer, "TOKEND_CLIENT_DEMO_CLIENT_ID=demo",
		"TOKEND_CLIENT_DEMO_SCOPES=openid,offline_access", "TOKEND_CLIENT_DEMO_AUDIENCE=https://api.example.com/",
		"TOKEND_CLIENT_DEMO_LOGIN=headless", "TOKEND_CLIENT_DEMO_REDIRECT_URI=http://localhost:8484/callback",
	}
	secrets := map[string]string{"CLIENT_DEMO_CLIENT_SECRET": "demo-secret\n", "API_KEY": apiKey + "\n"}
	load := service["Service.LoadCredential"]
	if len(load) == 0 {
		return append(env, "TOKEND_CLIENT_DEMO_CLIENT_SECRET=demo-secret", "TOKEND_API_KEY="+apiKey, "XDG_RUNTIME_DIR="+dir)
	}
	// Of a directory, systemd makes each file a credential ID_FILE (systemd.exec(5)).
	id, _, _ := strings.Cut(load[0], ":")
	for name, secret := range secrets {
		write(t, filepath.Join(dir, "credentials", id+"_"+name), secret, 0o400)
	}
	state := filepath.Join(dir, stateOf(service))
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	return append(env, "CREDENTIALS_DIRECTORY="+filepath.Join(dir, "credentials"), "STATE_DIRECTORY="+state)
}

func stateOf(service map[string][]string) string {
	if name := service["Service.StateDirectory"]; len(name) > 0 {
		return filepath.Join("var/lib", name[0])
	}
	return ".local/state/tokend"
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// TestSocketActivate: systemd's own implementation of the protocol passes the
// sockets, and the first caller finds the service started.
func TestSocketActivate(t *testing.T) {
	activate, dir := programs.Tool(t, "systemd-socket-activate"), programs.Folder(t)
	path := filepath.Join(dir, "sock")
	args := []string{"--fdname=tokend", "-l", path}
	for _, kv := range unitEnvironment(t, nil, dir, mockauth0(t)) {
		args = append(args, "-E", kv)
	}
	p := programs.Start(t, exec.Command(activate, append(args, filepath.Join(bin, "tokend"), "serve")...))
	p.WaitFor(t, regexp.MustCompile(`(Listening) on`))
	if got := output(t, []string{"TOKEND_ADDR=unix:" + path}, filepath.Join(bin, "tokend"), "token", "demo", "--wait", "--timeout", "20s"); strings.Count(got, ".") != 2 {
		t.Errorf("%q\n%s", got, p.Log)
	}
}
