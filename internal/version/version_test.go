package version

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A linked version wins over what the build read, and both forms show it.
func TestLinkedVersion(t *testing.T) {
	program := filepath.Join(t.TempDir(), "mockauth0")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-ldflags", "-X example.com/tokend/internal/version.linked=v1.2.3-test", "-o", program, "../../cmd/mockauth0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	line, err := exec.CommandContext(t.Context(), program, "version").Output()
	if err != nil || !strings.HasPrefix(string(line), "mockauth0 v1.2.3-test go") {
		t.Errorf("%s, %v", line, err)
	}
	out, err := exec.CommandContext(t.Context(), program, "version", "--format", "json").Output()
	var i Info
	if err != nil || json.Unmarshal(out, &i) != nil || i.Program != "mockauth0" || i.Version != "v1.2.3-test" || i.Go == "" || i.OS == "" || i.Arch == "" {
		t.Errorf("%s, %v", out, err)
	}
}

func TestRead(t *testing.T) {
	if i := Read("tokend"); i.Version == "" || !strings.HasPrefix(i.String(), "tokend "+i.Version+" go1.") {
		t.Errorf("%+v", i)
	}
}
