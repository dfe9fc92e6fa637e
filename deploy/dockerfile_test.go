package deploy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// stages are the Dockerfile's, by name. buildkit has nothing to say about them.
func stages(t *testing.T) map[string]instructions.Stage {
	t.Helper()
	parsed, err := parser.Parse(strings.NewReader(read(t, "docker/Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range parsed.Warnings {
		t.Errorf("buildkit: %s", w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, text string, _ []parser.Range) { t.Errorf("buildkit: %s: %s", rule, text) }})
	all, _, err := instructions.Parse(parsed.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]instructions.Stage{}
	for _, s := range all {
		byName[s.Name] = s
	}
	return byName
}

// TestDockerfile: what an image must say for those that start it.
func TestDockerfile(t *testing.T) {
	all := stages(t)
	for _, name := range []string{"mockauth0", "tokend"} {
		stage, found := all[name]
		if !found {
			t.Fatalf("no stage %s", name)
		}
		if stage.BaseName != "scratch" {
			t.Errorf("%s is from %s", name, stage.BaseName)
		}
		var labels, commands []string
		for _, c := range stage.Commands {
			commands = append(commands, c.Name())
			switch c := c.(type) {
			case *instructions.LabelCommand:
				for _, l := range c.Labels {
					labels = append(labels, l.Key)
				}
			case *instructions.UserCommand: // Kubernetes cannot tell whether a name is root
				if c.User != "65532:65532" {
					t.Errorf("%s: user %s", name, c.User)
				}
			}
		}
		for _, want := range []string{"title", "description", "version", "licenses"} {
			if !slices.Contains(labels, "org.opencontainers.image."+want) {
				t.Errorf("%s has no label %s", name, want)
			}
		}
		for _, want := range []string{"USER", "HEALTHCHECK", "ENTRYPOINT", "CMD"} {
			if !slices.Contains(commands, want) {
				t.Errorf("%s has no %s", name, want)
			}
		}
	}
}
