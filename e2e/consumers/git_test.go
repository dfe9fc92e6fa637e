package consumers

import (
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// gitServer serves a repository by git's own http-backend, behind a gate.
func gitServer(t *testing.T, ask string) (*httptest.Server, *gate) {
	t.Helper()
	dir := t.TempDir()
	script := `set -eu
git init -q -b main work && cd work && git config user.name A && git config user.email a@example.com
echo hello >file && git add file && git commit -q -m one && cd ..
mkdir srv && git clone -q --bare work srv/repo.git && git -C srv/repo.git config http.receivepack true
git --exec-path`
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	g := &gate{ask: ask}
	srv := httptest.NewServer(g.wrap(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"), Dir: dir,
		Env: []string{"GIT_PROJECT_ROOT=" + dir + "/srv", "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=agent", "HOME=" + dir},
	}))
	t.Cleanup(srv.Close)
	return srv, g
}

// capable says whether git can send a bearer token of a helper (2.46 and later).
func capable(s *service) bool {
	out, err := s.command("git", "credential", "capability").Output()
	return err == nil && strings.Contains(string(out), "capability authtype")
}

// git runs git without a terminal.
func git(s *service, args ...string) (string, error) {
	cmd := s.command("git", args...)
	cmd.Env = append(cmd.Env, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_ASKPASS=false")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var byHelper = []string{"-c", "credential.helper=!tokend token demo --format git-credential"}

// everything is what git does with a server: list, clone, push.
func everything(t *testing.T, s *service, how []string, url string) {
	t.Helper()
	in := func(args ...string) []string {
		return append(append(slices.Clone(how), "-C", "cloned", "-c", "user.name=A", "-c", "user.email=a@example.com"), args...)
	}
	for _, args := range [][]string{
		append(slices.Clone(how), "ls-remote", url), append(slices.Clone(how), "clone", "-q", url, "cloned"),
		in("commit", "-q", "--allow-empty", "-m", "two"), in("push", "-q", "origin", "main"),
	} {
		if out, err := git(s, args...); err != nil {
			t.Fatalf("git %s: %v\n%s", args[len(how):], err, out)
		}
	}
	if b, err := os.ReadFile(filepath.Join(s.home, "cloned", "file")); err != nil || string(b) != "hello\n" {
		t.Errorf("%q, %v", b, err)
	}
	tokenNowhere(t, s, "cloned", ".gitconfig", ".git-credentials")
}

// TestGitPassword: a server that wants a user and a password gets the token as
// the password, and one that is not listed gets nothing.
func TestGitPassword(t *testing.T) {
	tool(t, "git")
	srv, g := gitServer(t, `Basic realm="git"`)
	host := strings.TrimPrefix(srv.URL, "http://")
	s := start(t, host)
	g.expect(s.token(t))
	other := strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	out, err := git(s, append(slices.Clone(byHelper), "ls-remote", other+"/repo.git")...)
	if err == nil || g.saw() != "" || !strings.Contains(out, "is not among the hosts of client demo") {
		t.Errorf("a host that is not listed: %v, it saw %q\n%s", err, g.saw(), out)
	}
	everything(t, s, byHelper, srv.URL+"/repo.git")
	if others := strings.Trim(strings.ReplaceAll(g.saw(), "basic oauth2", ""), ", "); others != "" || g.saw() == "" {
		t.Errorf("the server saw %q, not oauth2's password", g.saw())
	}
}

// TestGitHelper_ByItsName: credential.helper = tokend runs git-credential-tokend. It
// finds the client by the server's host, and leaves other hosts to git.
func TestGitHelper_ByItsName(t *testing.T) {
	tool(t, "git")
	srv, g := gitServer(t, `Basic realm="git"`)
	s := start(t, strings.TrimPrefix(srv.URL, "http://"))
	g.expect(s.token(t))
	other := strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	for helper, says := range map[string]string{"tokend": "", "tokend demo --min-validity 1m": "is not among the hosts of client demo"} {
		how := []string{"-c", "credential.helper=" + helper}
		g.expect(s.token(t))
		out, err := git(s, append(slices.Clone(how), "ls-remote", other+"/repo.git")...)
		if err == nil || !strings.Contains(out, says) || says == "" && strings.Contains(out, "error: host") {
			t.Errorf("%s, a host that is not listed: %v\n%s", helper, err, out)
		}
		if out, err := git(s, append(slices.Clone(how), "ls-remote", srv.URL+"/repo.git")...); err != nil || !strings.Contains(out, "refs/heads/main") {
			t.Errorf("%s: %v\n%s", helper, err, out)
		}
	}
}

// TestGitBearer: a server that takes bearer tokens only. Before 2.46 git cannot
// take one from a helper; a header it always can.
func TestGitBearer(t *testing.T) {
	tool(t, "git")
	srv, g := gitServer(t, `Bearer realm="git"`)
	s := start(t, strings.TrimPrefix(srv.URL, "http://"))
	g.expect(s.token(t))
	if capable(s) {
		everything(t, s, byHelper, srv.URL+"/repo.git")
	} else if out, err := git(s, append(slices.Clone(byHelper), "ls-remote", srv.URL+"/repo.git")...); err == nil || !strings.Contains(out, "Authentication failed") {
		t.Errorf("a git without the capability: %v\n%s", err, out)
	}
	if err := os.RemoveAll(filepath.Join(s.home, "cloned")); err != nil {
		t.Fatal(err)
	}
	header, err := s.command("tokend", "token", "demo", "--format", "header").Output()
	if err != nil {
		t.Fatal(err)
	}
	// By the environment: a -c on the command line would be in the process list.
	s.env = append(s.env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http."+srv.URL+".extraHeader", "GIT_CONFIG_VALUE_0="+strings.TrimSpace(string(header)))
	everything(t, s, nil, srv.URL+"/repo.git")
	if !strings.HasSuffix(g.saw(), "bearer") || strings.Contains(g.saw(), "basic") {
		t.Errorf("the server saw %q", g.saw())
	}
}

// TestGitCredentialFill: what git itself reads of the answer.
func TestGitCredentialFill(t *testing.T) {
	tool(t, "git")
	s := start(t, "ada@git.example.com")
	fill := func(in string) string {
		cmd := s.command("git", "-c", "credential.helper=", "-c", "credential.helper=!tokend token demo --format git-credential", "credential", "fill")
		cmd.Env = append(cmd.Env, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_ASKPASS=false")
		cmd.Stdin = strings.NewReader(in)
		out, _ := cmd.Output()
		return string(out)
	}
	want := "protocol=https\nhost=git.example.com\nusername=ada\npassword=" + s.token(t) + "\n"
	if got := fill("protocol=https\nhost=git.example.com\n\n"); !strings.HasPrefix(got, want) {
		t.Errorf("got %d bytes that do not begin with user and token:\n%s", len(got), strings.ReplaceAll(got, s.token(t), "TOKEN"))
	}
	for _, in := range []string{"protocol=http\nhost=git.example.com\n\n", "protocol=https\nhost=evil.example\n\n"} {
		if got := fill(in); strings.Contains(got, "password=") {
			t.Errorf("%q was given a password", in)
		}
	}
}

// tokenNowhere searches folders and files for the token.
func tokenNowhere(t *testing.T, s *service, names ...string) {
	t.Helper()
	token := s.token(t)
	for _, name := range names {
		_ = filepath.WalkDir(filepath.Join(s.home, name), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil //nolint:nilerr // not there, so the token is not in it
			}
			if b, err := os.ReadFile(path); err == nil && strings.Contains(string(b), token) {
				t.Errorf("the token stands in %s", path)
			}
			return nil
		})
	}
}
