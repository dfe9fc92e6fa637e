package deploy_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
)

// kubelet runs containers of one pod in folders, which is not all that a kubelet
// does: a shared volume is carried from a container that ended to the next.
type kubelet struct {
	manifest
	issuer, ca string // of the tenant, instead of the manifest's
	api        string // the port that tokend is given, instead of 8484
}

const placeholder = "https://tenant.example.com/"

// container is tokend's image with the container's volumes in it.
func (k kubelet) container(t *testing.T, c core.Container) (*image, []string) {
	t.Helper()
	i := newImage(t, "tokend")
	i.hosts(t)
	i.trust(t, k.ca)
	for _, mount := range c.VolumeMounts {
		dir := i.dir + mount.MountPath
		asRoot(t, "mkdir", "-p", dir)
		asRoot(t, "chmod", "0777", dir) // as an emptyDir, or more than a claim
		for name, text := range k.content(t, mount.Name) {
			file := write(t, filepath.Join(t.TempDir(), "file"), text, 0o644)
			asRoot(t, "install", "-m", "0440", "-g", "65532", file, filepath.Join(dir, name))
		}
	}
	var env []string
	for _, e := range c.Env {
		env = append(env, e.Name+"="+e.Value)
	}
	return i, append(env, "TOKEND_LISTEN=127.0.0.1:"+k.api)
}

// content are the files of a volume.
func (k kubelet) content(t *testing.T, volume string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, v := range k.pod.Volumes {
		switch {
		case v.Name != volume:
		case v.Secret != nil:
			for name, value := range k.secrets[v.Secret.SecretName].StringData {
				files[name] = value
			}
		case v.ConfigMap != nil:
			for name, text := range k.configs[v.ConfigMap.Name].Data {
				if !strings.Contains(text, placeholder) {
					t.Errorf("%s has no issuer %s", name, placeholder)
				}
				files[name] = strings.ReplaceAll(text, placeholder, k.issuer)
			}
		}
	}
	return files
}

// command is what the container runs, by the image where it does not say.
func command(i *image, c core.Container) []string {
	entrypoint, args := i.entrypoint, i.cmd
	if len(c.Command) > 0 {
		entrypoint, args = c.Command, nil
	}
	if len(c.Args) > 0 {
		args = c.Args
	}
	return slices.Concat(entrypoint, args)
}

// newKubelet starts a tenant, and puts its seed and secret into the manifest.
func newKubelet(t *testing.T, m manifest) kubelet {
	t.Helper()
	mock := newImage(t, "mockauth0")
	mock.hosts(t)
	env := []string{"MOCKAUTH0_LISTEN=127.0.0.1:" + freePort(t), "MOCKAUTH0_TLS_LISTEN=127.0.0.1:" + freePort(t)}
	tenant := start(t, mock.within(t, env, "/mockauth0", "serve"))
	k := kubelet{manifest: m, issuer: tenant.waitFor(t, `issuer (https://\S+),`), api: freePort(t)}
	k.ca = mock.run(t, env, "/mockauth0", "ca")
	seed := refreshToken(t, tenant.waitFor(t, `issuer (http://\S+),`))
	for _, s := range k.secrets {
		for name := range s.StringData {
			switch name {
			case "TOKEND_CLIENT_DEMO_CLIENT_SECRET":
				s.StringData[name] = "demo-secret"
			case "TOKEND_CLIENT_DEMO_REFRESH_TOKEN":
				s.StringData[name] = seed
			}
		}
	}
	return k
}

// TestSidecar runs the sidecar until it is healthy and returns a token to a
// request in the way of the other container.
func TestSidecar(t *testing.T) {
	k := newKubelet(t, load(t, "kubernetes/sidecar.yaml"))
	c := k.pod.InitContainers[0]
	if c.RestartPolicy == nil || *c.RestartPolicy != core.ContainerRestartPolicyAlways {
		t.Fatal("not a sidecar: its restartPolicy is not Always")
	}
	i, env := k.container(t, c)
	p := start(t, i.within(t, env, command(i, c)...))
	p.waitFor(t, `(msg=listening) network=unix`)
	for _, probe := range []*core.Probe{c.StartupProbe, c.LivenessProbe} {
		if got := i.run(t, env, probe.Exec.Command...); got != "ok\n" {
			t.Errorf("probe: %q", got)
		}
	}
	// The program's first question, as its script has it.
	script, _, found := strings.Cut(k.pod.Containers[0].Command[2], "&&\n    curl -fsS -H @/tmp/token")
	if !found || !strings.Contains(script, "8484") {
		t.Fatalf("the program's script has changed:\n%s", script)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "run/key/api"), k.secrets["tokend"].StringData["TOKEND_API_KEY"], 0o600)
	script = strings.NewReplacer("while true; do", "", ":8484", ":"+k.api, "/run/key", dir+"/run/key", "/tmp/token", dir+"/token",
		"curl -fsS", "curl -q --noproxy '*' -fsS").Replace(script)
	sh(t, script)
	if got := read(t, filepath.Join(dir, "token")); !strings.HasPrefix(got, "Authorization: Bearer ey") {
		t.Errorf("the program has %q\n%s", got, p.log)
	}
	if code := p.stop(t); code != 0 {
		t.Errorf("ended with %d\n%s", code, p.log)
	}
}
