package referees_test

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// packedVersion is the version of the packages that the tests make.
const packedVersion = "1.2.3-test"

// platform is this machine's, as Node.js names it.
var platform = runtime.GOOS + "-" + strings.Replace(runtime.GOARCH, "amd64", "x64", 1)

// platforms are those that scripts/npm.sh builds.
func platforms(t *testing.T) []string {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("..", "..", "scripts", "npm.sh"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(script), "\nplatforms='")
	list, _, _ = strings.Cut(list, "'")
	return strings.Fields(list)
}

// withNode returns the environment in which node and npm are those that the tests use.
func withNode(t *testing.T) []string {
	t.Helper()
	tool(t, "npm")
	return append(clean(), "PATH="+filepath.Dir(nodejs(t))+string(os.PathListSeparator)+os.Getenv("PATH"),
		"npm_config_update_notifier=false", "npm_config_audit=false", "npm_config_fund=false")
}

// packed are the packages, which all tests share.
var packed struct {
	once     sync.Once
	tarballs []string
}

// pack returns the packages of this checkout.
func pack(t *testing.T) (tarballs []string) {
	t.Helper()
	packed.once.Do(func() { packed.tarballs = makePackages(t) })
	if len(packed.tarballs) == 0 {
		t.Fatal("the packages were not made; see the test that failed first")
	}
	return packed.tarballs
}

// makePackages makes them as scripts/npm.sh does: that of this platform has the program,
// the others have a file in its place.
func makePackages(t *testing.T) (tarballs []string) {
	t.Helper()
	programs, out := t.TempDir(), filepath.Join(filepath.Dir(mockauth0), "npm")
	for _, p := range platforms(t) {
		program := filepath.Join(programs, p, "mockauth0")
		if strings.HasPrefix(p, "win32-") {
			program += ".exe"
		}
		if err := os.Mkdir(filepath.Dir(program), 0o700); err != nil {
			t.Fatal(err)
		}
		if p == platform {
			if err := os.Link(mockauth0, program); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(program, []byte("for "+p), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join("..", "..", "npm", "pack.mjs"), packedVersion, programs, out)
	cmd.Path, cmd.Err = nodejs(t), nil
	cmd.Env = withNode(t)
	if printed, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	tarballs, err := filepath.Glob(filepath.Join(out, "*.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	return tarballs
}

// manifest is a package.json.
type manifest struct {
	Name                 string            `json:"name"`
	Version              string            `json:"version"`
	Bin                  map[string]string `json:"bin"`
	Scripts              map[string]string `json:"scripts"`
	OS                   []string          `json:"os"`
	CPU                  []string          `json:"cpu"`
	OptionalDependencies map[string]string `json:"optionalDependencies"`
}

// contents returns the modes of the files of a package, and its package.json.
func contents(t *testing.T, tarball string) (files map[string]os.FileMode, text []byte) {
	t.Helper()
	f, err := os.Open(tarball)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]os.FileMode{}
	for archive := tar.NewReader(unzipped); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, text
		}
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "package/")] = h.FileInfo().Mode()
		if h.Name != "package/package.json" {
			continue
		}
		if text, err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNpmPackages: npm chooses the package of the platform by os and cpu, and runs no
// script to install it.
func TestNpmPackages(t *testing.T) {
	t.Parallel()
	want := map[string]string{} // what mockauth0 depends on
	for _, p := range platforms(t) {
		want["@mockauth0/"+p] = packedVersion
	}
	if len(want) != 6 || want["@mockauth0/"+platform] == "" {
		t.Fatalf("the platforms are %v", platforms(t))
	}
	seen := 0
	for _, tarball := range pack(t) {
		files, text := contents(t, tarball)
		var m manifest
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		if m.Version != packedVersion || len(m.Scripts) > 0 {
			t.Errorf("%s: version %s, scripts %v", m.Name, m.Version, m.Scripts)
		}
		if m.Name == "mockauth0" {
			if !maps.Equal(m.OptionalDependencies, want) {
				t.Errorf("mockauth0 depends on %v", m.OptionalDependencies)
			}
			for _, file := range []string{"LICENSE", "README.md", "index.js", "index.d.ts", m.Bin["mockauth0"]} {
				if _, found := files[file]; !found {
					t.Errorf("mockauth0 has no file %q", file)
				}
			}
			continue
		}
		seen++
		name, os, cpu := strings.TrimPrefix(m.Name, "@mockauth0/"), strings.Join(m.OS, ","), strings.Join(m.CPU, ",")
		program := map[bool]string{true: "bin/mockauth0.exe", false: "bin/mockauth0"}[os == "win32"]
		if name != os+"-"+cpu || want[m.Name] == "" {
			t.Errorf("%s is for %s on %s", m.Name, os, cpu)
		}
		if files[program] != 0o755 || files["LICENSE"] == 0 {
			t.Errorf("%s has the files %v", m.Name, files)
		}
	}
	if seen != len(want) {
		t.Errorf("%d packages for platforms", seen)
	}
}

// registry serves packages as an npm registry does, and has no others.
func registry(t *testing.T, tarballs []string) (address string) {
	t.Helper()
	packages := map[string]object{}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for _, tarball := range tarballs {
		_, text := contents(t, tarball)
		var m object
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		name, file := m["name"].(string), filepath.Base(tarball)
		m["dist"] = object{"tarball": server.URL + "/-/" + file}
		packages[name] = object{"name": name, "dist-tags": object{"latest": packedVersion}, "versions": object{packedVersion: m}}
		mux.HandleFunc("GET /-/"+file, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, tarball) })
	}
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		p, found := packages[strings.TrimPrefix(r.URL.Path, "/")]
		if !found {
			http.NotFound(w, r) // npm 9 asks for optional packages of other systems
			return
		}
		_ = json.NewEncoder(w).Encode(p)
	})
	return server.URL
}

// fromRegistry returns the environment in which npm installs the packages of this
// checkout, and none of another registry.
func fromRegistry(t *testing.T) []string {
	t.Helper()
	return append(withNode(t), "npm_config_registry="+registry(t, pack(t)), "npm_config_cache="+t.TempDir())
}

// installed returns a folder in which mockauth0 was installed, and the environment.
func installed(t *testing.T) (dir string, env []string) {
	t.Helper()
	dir, env = t.TempDir(), fromRegistry(t)
	cmd := exec.CommandContext(t.Context(), "npm", "install", "mockauth0")
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir, env
}

// TestNpmPackage_Installed: the program ends with the signals and exit codes that its
// wrapper gets, and with the process that started it by start(), however that ends.
func TestNpmPackage_Installed(t *testing.T) {
	t.Parallel()
	dir, env := installed(t)
	present, err := filepath.Glob(filepath.Join(dir, "node_modules", "@mockauth0", "*"))
	if err != nil || len(present) != 1 || filepath.Base(present[0]) != platform {
		t.Fatalf("npm installed %v, not the package for %s alone", present, platform)
	}
	wrapper := filepath.Join(dir, "node_modules", ".bin", "mockauth0")

	t.Run("exit code", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), wrapper, "nonsense")
		cmd.Env = env
		var exit *exec.ExitError
		if _, err := cmd.Output(); !errors.As(err, &exit) || exit.ExitCode() != 64 || !strings.Contains(string(exit.Stderr), "hint: ") {
			t.Errorf("it ends with %v", err)
		}
	})
	t.Run("SIGTERM of the wrapper", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), wrapper)
		cmd.Env = append(slices.Clone(env), "MOCKAUTH0_LISTEN=127.0.0.1:0")
		issuer := startsTenant(t, cmd, cmd.StderrPipe)
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		wantGone(t, issuer)
	})
	t.Run("SIGKILL of a test", func(t *testing.T) {
		script := `require("mockauth0").start({ login: "form" }).then((mock) => { console.log("issuer " + mock.issuer + ","); setInterval(() => {}, 1e6) })`
		cmd := exec.CommandContext(t.Context(), nodejs(t), "-e", script)
		cmd.Dir, cmd.Env = dir, env
		issuer := startsTenant(t, cmd, cmd.StdoutPipe)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		wantGone(t, issuer)
	})
	t.Run("without the package of the platform", func(t *testing.T) {
		if err := os.RemoveAll(present[0]); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), wrapper)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "mockauth0: the package @mockauth0/"+platform+" is missing; hint: run npm install") {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// startsTenant starts a command that says its issuer, and returns that.
func startsTenant(t *testing.T, cmd *exec.Cmd, output func() (io.ReadCloser, error)) (issuer string) {
	t.Helper()
	pipe, err := output()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		if m := issuerLine.FindStringSubmatch(lines.Text()); m != nil {
			return m[1]
		}
	}
	t.Fatal("no tenant started")
	return ""
}

// wantGone waits until a tenant does not answer any more.
func wantGone(t *testing.T, issuer string) {
	t.Helper()
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-tick.C {
		res, err := fresh.Get(issuer + "_mock/health") //nolint:noctx // the client has a timeout
		if err != nil {
			return
		}
		_ = res.Body.Close()
	}
	t.Errorf("the tenant at %s still runs", issuer)
}
