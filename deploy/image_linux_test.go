package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// image is a stage of the Dockerfile, built into a folder.
type image struct {
	dir                     string
	env                     []string
	user                    string
	entrypoint, cmd, health []string
}

// built runs the build stage's last command, with /out in a folder that all
// tests share.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "image")
	return dir, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := built(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

var once sync.Once

// builtVersion is the build argument of the images.
const builtVersion = "v1.2.3-test"

func out(t *testing.T) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	once.Do(func() {
		var command string
		for _, c := range stages(t)["build"].Commands {
			if run, ok := c.(*instructions.RunCommand); ok {
				command = strings.Join(run.CmdLine, " ")
			}
		}
		cmd := exec.Command("sh", "-c", strings.ReplaceAll(command, "/out/", dir+"/"))
		cmd.Dir, cmd.Env = root, append(os.Environ(), "VERSION="+builtVersion)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	})
	return dir
}

// newImage is the stage as a folder: what COPY puts there, with its owner and
// mode, and what every runtime adds. It belongs to root.
func newImage(t *testing.T, stage string) *image {
	t.Helper()
	from := out(t)
	dir, err := os.MkdirTemp("", "rootfs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { asRoot(t, "rm", "-rf", dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	i := &image{dir: dir}
	s := stages(t)[stage]
	for _, c := range s.Commands {
		i.apply(t, c, from)
	}
	asRoot(t, "chown", "-R", "0:0", dir) // a runner's user built it
	for _, c := range s.Commands {
		if c, ok := c.(*instructions.CopyCommand); ok && c.Chown != "" {
			asRoot(t, "chown", c.Chown, dir+c.DestPath)
		}
	}
	return i
}

func (i *image) apply(t *testing.T, c instructions.Command, out string) {
	t.Helper()
	switch c := c.(type) {
	case *instructions.CopyCommand:
		if c.From != "build" || len(c.SourcePaths) != 1 {
			t.Fatalf("the test cannot do %s", c)
		}
		source := strings.Replace(c.SourcePaths[0], "/out/", out+"/", 1)
		mode := os.FileMode(0o755)
		if c.Chmod != "" {
			bits, err := strconv.ParseUint(c.Chmod, 8, 32)
			if err != nil {
				t.Fatal(err)
			}
			mode = os.FileMode(bits)
		}
		if fi, err := os.Stat(source); err == nil && fi.IsDir() { // empty ones, in ours
			if err := os.MkdirAll(i.dir+c.DestPath, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(i.dir+c.DestPath, mode); err != nil {
				t.Fatal(err)
			}
			return
		}
		write(t, i.dir+c.DestPath, read(t, source), mode)
	case *instructions.EnvCommand:
		for _, kv := range c.Env {
			i.env = append(i.env, kv.Key+"="+kv.Value)
		}
	case *instructions.UserCommand:
		i.user = c.User
	case *instructions.EntrypointCommand:
		i.entrypoint = c.CmdLine
	case *instructions.CmdCommand:
		i.cmd = c.CmdLine
	case *instructions.HealthCheckCommand:
		if c.Health.Test[0] != "CMD" {
			t.Errorf("there is no shell for HEALTHCHECK %q", c.Health.Test)
		}
		i.health = c.Health.Test[1:]
	case *instructions.ArgCommand, *instructions.LabelCommand, *instructions.ExposeCommand, *instructions.VolumeCommand:
	default:
		t.Fatalf("the test cannot do %s", c.Name())
	}
}

// within is the command line that runs args in the image as its user, with the
// image's variables and env.
func (i *image) within(t *testing.T, env []string, args ...string) []string {
	t.Helper()
	line := append(superuser(t), "env", "-i")
	line = append(line, i.env...)
	line = append(line, env...)
	chroot, err := exec.LookPath("chroot")
	if err != nil {
		chroot = "/usr/sbin/chroot" // which is not on everybody's PATH
	}
	return append(append(line, chroot, "--userspec="+i.user, i.dir), args...)
}

// run is a command in the image that must succeed; it returns what it printed.
func (i *image) run(t *testing.T, env []string, args ...string) string {
	t.Helper()
	line := i.within(t, env, args...)
	out, err := exec.Command(line[0], line[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", line, err, out)
	}
	return string(out)
}

// hosts is what a runtime puts into every container.
func (i *image) hosts(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hosts")
	write(t, file, "127.0.0.1 localhost\n", 0o644)
	asRoot(t, "cp", file, i.dir+"/etc/hosts")
}

func TestImageHoldsNoMore(t *testing.T) {
	for stage, want := range map[string][]string{
		"mockauth0": {"etc", "etc/ssl", "etc/ssl/certs", "etc/ssl/certs/ca-certificates.crt", "mockauth0"},
		"tokend":    {"etc", "etc/ssl", "etc/ssl/certs", "etc/ssl/certs/ca-certificates.crt", "run", "run/user", "state", "tokend", "tokend-credential"},
	} {
		i := newImage(t, stage)
		got := strings.Fields(asRoot(t, "find", i.dir, "-mindepth", "1", "-printf", "%P\n"))
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q", stage, got)
		}
		if version := i.run(t, nil, append(slices.Clone(i.entrypoint), "version")...); !strings.HasPrefix(version, stage+" "+builtVersion+" ") {
			t.Errorf("%s: %s", stage, version)
		}
	}
}

// TestImages: the two images, as their users and with only their own files: tokend logs
// in at the mock's TLS listener, whose CA it finds in the image's certificates.
func TestImages(t *testing.T) {
	mock := newImage(t, "mockauth0")
	mock.hosts(t)
	port, tls, api := freePort(t), freePort(t), freePort(t)
	env := []string{"MOCKAUTH0_LISTEN=127.0.0.1:" + port, "MOCKAUTH0_TLS_LISTEN=127.0.0.1:" + tls}
	tenant := start(t, mock.within(t, env, append(slices.Clone(mock.entrypoint), mock.cmd...)...))
	issuer := tenant.waitFor(t, `issuer (https://\S+),`)
	if ok := mock.run(t, env, mock.health...); ok != "ok\n" {
		t.Errorf("the mock's health: %q", ok)
	}

	tokend := newImage(t, "tokend")
	tokend.hosts(t)
	tokend.trust(t, mock.run(t, env, "/mockauth0", "ca"))
	env = []string{
		"TOKEND_LISTEN=127.0.0.1:" + api, "TOKEND_CLIENTS=demo", "TOKEND_CLIENT_DEMO_ISSUER=" + issuer,
		"TOKEND_CLIENT_DEMO_CLIENT_ID=demo", "TOKEND_CLIENT_DEMO_CLIENT_SECRET=demo-secret",
		"TOKEND_CLIENT_DEMO_AUDIENCE=https://api.example.com/", "TOKEND_CLIENT_DEMO_GRANT=client_credentials",
	}
	service := start(t, tokend.within(t, env, append(slices.Clone(tokend.entrypoint), tokend.cmd...)...))
	service.waitFor(t, `(msg=listening) network=unix`)
	if ok := tokend.run(t, env, tokend.health...); ok != "ok\n" {
		t.Errorf("tokend's health: %q", ok)
	}
	if token := tokend.run(t, env, "/tokend", "token", "demo", "--wait"); strings.Count(token, ".") != 2 {
		t.Errorf("token %q", token)
	}
	for path, want := range map[string]string{"/state/tokend": "700", "/run/user/tokend": "700", "/state/tokend/tokend.db": "600", "/run/user/tokend/tokend.sock": "600"} {
		if got := asRoot(t, "stat", "-c", "%a %u", tokend.dir+path); got != want+" 65532\n" {
			t.Errorf("%s: %s", path, got)
		}
	}
	if code := service.stop(t); code != 0 {
		t.Errorf("tokend ended with %d\n%s", code, service.log)
	}
}

// trust adds a CA to the image's certificates.
func (i *image) trust(t *testing.T, ca string) {
	t.Helper()
	if !strings.Contains(ca, "BEGIN CERTIFICATE") {
		t.Fatalf("no certificate: %s", ca)
	}
	bundle := i.dir + "/etc/ssl/certs/ca-certificates.crt"
	file := write(t, filepath.Join(t.TempDir(), "bundle"), read(t, bundle)+ca, 0o644)
	asRoot(t, "cp", file, bundle)
}
