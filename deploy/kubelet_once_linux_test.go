package deploy_test

import (
	"strings"
	"testing"
)

// TestInitContainer: the init container ends well, and what it leaves in the
// volume that both containers have is what the program gives to curl.
func TestInitContainer(t *testing.T) {
	k := newKubelet(t, load(t, "kubernetes/job.yaml"))
	init, program := k.pod.InitContainers[0], k.pod.Containers[0]
	if init.RestartPolicy != nil {
		t.Fatal("it is a sidecar")
	}
	i, env := k.container(t, init)
	i.run(t, env, command(i, init)...)
	file := ""
	for _, word := range program.Command {
		if path, is := strings.CutPrefix(word, "@"); is {
			file = path
		}
	}
	if same := program.SecurityContext.RunAsUser; *same != *init.SecurityContext.RunAsUser {
		t.Errorf("the program runs as %d and cannot read the file", *same)
	}
	shared := false
	for _, mount := range program.VolumeMounts {
		shared = shared || strings.HasPrefix(file, mount.MountPath+"/")
	}
	if !shared {
		t.Fatalf("the program reads %q, which is in none of its volumes", file)
	}
	if got := asRoot(t, "cat", i.dir+file); !strings.HasPrefix(got, "Authorization: Bearer ey") {
		t.Errorf("%s: %q", file, got)
	}
	if got := asRoot(t, "stat", "-c", "%a %u", i.dir+file); got != "600 65532\n" {
		t.Errorf("%s: %s", file, got)
	}
}
