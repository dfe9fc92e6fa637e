package main

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"runtime"
	"testing"
	"time"
)

// execute runs the command with arguments and returns its exit code and output.
func execute(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	defer time.AfterFunc(30*time.Second, cancel).Stop() // a tenant that should have refused runs on
	var out, errs bytes.Buffer
	code = (&program{args: args, stdout: &out, stderr: &errs}).main(ctx)
	return code, out.String(), errs.String()
}

func TestVersion(t *testing.T) {
	line := regexp.MustCompile(`\Amockauth0 \S+ ` + regexp.QuoteMeta(runtime.Version()) + ` \w+/\w+\n\z`)
	for _, args := range [][]string{{"--version"}, {"version"}, {"version", "--format", "text"}} {
		if code, out, errs := execute(t, args...); code != 0 || !line.MatchString(out) || errs != "" {
			t.Errorf("%v: %d %q %q", args, code, out, errs)
		}
	}
}

func TestVersionAsJSON(t *testing.T) {
	code, out, _ := execute(t, "version", "--format", "json")
	var got map[string]string
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Fatalf("%d %q: %v", code, out, err)
	}
	if _, hasCommit := got["commit"]; !hasCommit || got["program"] != "mockauth0" || got["version"] == "" || got["go"] != runtime.Version() || len(got) != 6 {
		t.Errorf("got %v", got)
	}
}

func TestVersionRefusesAnUnknownFormat(t *testing.T) {
	code, out, errs := execute(t, "version", "--format", "xml")
	want := "mockauth0: --format \"xml\" is not one of text, json\nhint: mockauth0 version --help\n"
	if code != exitUsage || out != "" || errs != want {
		t.Errorf("%d %q %q", code, out, errs)
	}
}
