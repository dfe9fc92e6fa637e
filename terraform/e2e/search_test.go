package e2e_test

import (
	"archive/zip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// artefacts are what Terraform leaves or prints, by the columns of docs/terraform.md.
type artefacts struct{ state, plan, show, trace string }

// planAndApply plans to a file and applies that file, with a TRACE log of it
// all, and collects every artefact.
func (ws *workspace) planAndApply(t *testing.T) artefacts {
	t.Helper()
	ws.env["TF_LOG"], ws.env["TF_LOG_PATH"] = "TRACE", filepath.Join(ws.dir, "trace.log")
	ws.must(t, "plan", "-no-color", "-input=false", "-out=tfplan")
	a := artefacts{plan: unzipped(t, filepath.Join(ws.dir, "tfplan"))}
	a.show = ws.must(t, "show", "-json", "tfplan")
	ws.must(t, "apply", "-no-color", "-input=false", "tfplan")
	a.show += ws.must(t, "show", "-json")
	a.state = read(t, filepath.Join(ws.dir, "terraform.tfstate"))
	a.trace = read(t, ws.env["TF_LOG_PATH"])
	for name, text := range map[string]string{"state": a.state, "plan": a.plan, "show": a.show} {
		if !strings.Contains(text, "terraform_version") && !strings.Contains(text, "Terraform") {
			t.Fatalf("%s is not an artefact of Terraform: %.200s", name, text)
		}
	}
	if !strings.Contains(a.trace, "[TRACE]") {
		t.Fatal("there is no TRACE log")
	}
	return a
}

// unzipped is everything in a plan file.
func unzipped(t *testing.T, path string) string {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	var b strings.Builder
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&b, r); err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		b.WriteString("\n")
	}
	return b.String()
}

// anyJWT matches every signed JWT of any issuer. Terraform writes text as it
// is, in JSON and in the msgpack of a plan.
var anyJWT = regexp.MustCompile(`eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}`)

// hits says whether a text holds a token or one of the secrets, whole or the
// part of a token that is its own.
func hits(text string, secrets ...string) bool {
	return anyJWT.MatchString(text) || slices.ContainsFunc(secrets, func(s string) bool {
		if i := strings.LastIndexByte(s, '.'); i >= 0 {
			s = s[i+1:] // the signature
		}
		return s != "" && strings.Contains(text, s)
	})
}

// files is the text of all files below a folder.
func files(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		b.Write(text)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return b.String()
}
