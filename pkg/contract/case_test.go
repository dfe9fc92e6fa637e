package contract

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestCases(t *testing.T) {
	cases := Cases()
	if len(cases) != 263 {
		t.Errorf("%d cases, want 263", len(cases))
	}
	count := map[Confidence]int{}
	for _, c := range cases {
		count[c.Confidence]++
		if len(c.Sources) == 0 && c.Confidence != Believed {
			t.Errorf("%s: %s, and no source", c.ID, c.Confidence)
		}
		if c.Confidence == Believed && c.Note == "" {
			t.Errorf("%s: believed, and no note says what is asserted", c.ID)
		}
	}
	for confidence, want := range map[Confidence]int{Documented: 139, Reported: 51, Recorded: 42, Derived: 17, Believed: 14} {
		if count[confidence] != want {
			t.Errorf("%d cases are %s, want %d", count[confidence], confidence, want)
		}
	}
}

// A caller may change the returned cases.
func TestCasesReturnsACopy(t *testing.T) {
	first := Cases()
	first[0].ID, first[0].Request.Query["client_id"] = "changed", "changed"
	second := Cases()
	if second[0].ID == "changed" || second[0].Request.Query["client_id"] == "changed" || load().cases[0].ID == "changed" {
		t.Error("a change of the returned cases is seen elsewhere")
	}
}

// known are the variables that a target, a step or an answer can set.
var known = []string{
	"issuer", "client_id", "client_secret", "redirect_uri", "redirect_origin", "audience", "username", "password", "basic", "resource",
	"logout_url", "tenant_logout_url", "error_page_url", "other_client_id", "other_client_secret", "organization", "ext",
	"verifier", "challenge", "nonce", "client_key", "assertion", "request_id",
	"code", "at", "rt", "rt_previous", "id_token", "dc", "user_code", "ulp_state",
	"obo_client_id", "obo_client_secret", "dpop", "dpop_wrong_htu", "dpop_other_key", "dpop_userinfo", "jkt", "invitation", "otp", "backchannel_url",
}

// ofFeatures are the variables of steps that only a target with a feature needs.
var ofFeatures = []string{
	"request_object", "mfa_token", "mfa_api_token", "authenticator_id", "oob_code", "totp", "recovery_code", "user_id", "auth_req_id",
	"at_depth_4",
}

func TestVariablesAreKnown(t *testing.T) {
	err := fs.WalkDir(files, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		managed := []string{"management", "management_api"}
		if strings.HasPrefix(path, "management/") {
			for _, f := range load().fixtures {
				for name := range f.Keep {
					managed = append(managed, name, name+"_path")
				}
			}
		}
		for _, m := range variable().FindAllStringSubmatch(string(b), -1) {
			if !slices.Contains(managed, m[1]) && !slices.Contains(known, m[1]) && !slices.Contains(ofFeatures, m[1]) {
				t.Errorf("%s: no step sets {{%s}}", path, m[1])
			}
		}
		if strings.Contains(variable().ReplaceAllString(string(b), ""), "{{") {
			t.Errorf("%s: something in {{}} is not a variable", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A misspelt <pattern> would be compared as text.
func TestWildcardsAreKnown(t *testing.T) {
	for _, c := range Cases() {
		b, err := json.Marshal(struct {
			H any
			L *Location
			S json.RawMessage
		}{c.Headers, c.Location, bodyOf(c).Shape})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(b))
		for _, m := range wildcard().FindAllStringSubmatch(text, -1) {
			if expression(m[1], m[2], true) == "" && m[0] != "<login_state>" {
				t.Errorf("%s: %s is not a pattern", c.ID, m[0])
			}
		}
	}
}

func bodyOf(c Case) Body {
	if c.Body == nil {
		return Body{Shape: json.RawMessage("{}")}
	}
	b := *c.Body
	if b.Shape == nil {
		b.Shape = json.RawMessage("{}")
	}
	return b
}

func TestReadRefuses(t *testing.T) {
	good := `{"id":"a","request":{"method":"GET","path":"/x"},"portable":true,"status":200,"sources":["s"],"confidence":"recorded"`
	for name, tc := range map[string]struct{ cases, want string }{
		"unknown member":     {`[` + good + `,"sratus":1}]`, `unknown field "sratus"`},
		"twice":              {`[` + good + `},` + good + `}]`, `duplicate case "a"`},
		"step":               {`[` + good + `,"setup":["sesion"]}]`, `setup: no step "sesion"`},
		"unknown step":       {`[` + good + `,"setup":["client:publc"]}]`, `setup: no step "client:publc"`},
		"feature":            {`[` + good + `,"feature":"mfaa"}]`, `feature: no feature "mfaa"`},
		"step of a feature":  {`[` + good + `,"setup":["ciba_poll"]}]`, `setup: no step "ciba_poll"`},
		"after":              {`[` + good + `,"after":["buried:rt"]}]`, `after: no check "buried:rt"`},
		"group":              {`[` + good + `,"common":["sometimes"]}]`, `no group of headers "sometimes"`},
		"profile":            {`[` + good + `,"jwt":{"id_token":"id.none"}}]`, `no profile "id.none"`},
		"same_as":            {`[` + good + `,"body":{"same_as":"b"}}]`, `no case "b"`},
		"assert":             {`[` + good + `,"assert":"5xx"}]`, `"5xx" is unknown`},
		"believed":           {`[` + strings.Replace(good, "recorded", "believed", 1) + `}]`, "required for a believed case"},
		"portable, why not":  {`[` + good + `,"why_not":"x"}]`, "why_not"},
		"neither":            {`[` + strings.Replace(good, "true", "false", 1) + `}]`, "why_not"},
		"body with a repeat": {`[` + good + `,"body":{"shape":{"a":1,"a":2}}}]`, "duplicate member"},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{"cases/a.json": {Data: []byte(tc.cases)}}
			for _, f := range []string{"common.json", "features.json", "mock_setup.json"} {
				b, err := files.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				fsys[f] = &fstest.MapFile{Data: b}
			}
			if _, err := read(fsys); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// The suite shares no code with the issuers it checks.
func TestImports(t *testing.T) {
	goTool := filepath.Join(goroot(t), "bin", "go")
	out, err := exec.Command(goTool, "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		if !strings.HasSuffix(path, "/pkg/contract") && !strings.HasPrefix(path, "github.com/go-jose/go-jose/v4") {
			t.Errorf("pkg/contract imports %s; it may import the standard library and go-jose", path)
		}
	}
	out, err = exec.Command(goTool, "list", "-f", `{{join .Imports " "}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(strings.Fields(string(out)), "testing") {
		t.Error("pkg/contract imports testing, and so would every program that uses it")
	}
}

func goroot(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("GOROOT"); dir != "" {
		return dir
	}
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("there is no go command: %v", err)
	}
	return strings.TrimSpace(string(out))
}
