package e2e_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tokend/internal/mutation"
)

// refusing are the functions and types that tokend refuses with.
var refusing = []string{
	"exitf", "hintf", "exitError", "bad", "warn", // cmd/tokend
	"add", "addAt", "fault", "wrong", // internal/config
	"problem", "fail", "failFor", "failWith", "forbidden", "badRequest", "unauthorized", // internal/daemon
	"Error", "badUpstream", "configError", // pkg/flow
	"Refusal", "NewErrorDiagnostic", "NewAttributeErrorDiagnostic", // terraform
	"Errorf", "New",
}

// parts are the packages whose refusals are taken out, each with its tests.
var parts = []struct {
	dir   string
	least int // refusals that there are
	tests []mutation.Tests
}{
	{"pkg/flow", 80, own("pkg/flow")},
	{"internal/daemon", 50, own("internal/daemon")},
	{"internal/tokenfile", 12, own("internal/tokenfile")},
	{"internal/config", 50, own("internal/config")},
	{"cmd/tokend", 120, append(own("cmd/tokend"), mutation.Tests{Args: []string{"-run", "^TestScripts$", "."}})},
	{"terraform/internal/service", 15, own("terraform/internal/service")},
	{"terraform/internal/provider", 20, own("terraform/internal/provider")},
}

// unreachable are refusals that no test can meet, and what is none. They are told
// apart by file and condition.
var unreachable = map[string]string{
	"activation.go err != nil":                           "net.FileListener of a socket that was looked at before",
	"api.go err != nil":                                  "a request for a path that was escaped",
	"doctor_service.go errors.Is(err, fs.ErrPermission)": "root may connect to every socket",
	"file.go err == nil":                                 "the same check comes again when the file is opened",
	"file.go f.verbose":                                  "slog.New is no refusal",
	"config.go err != nil":                               "every variable of the service is text, which always parses",
	"serve.go s.json":                                    "slog.New is no refusal",
	"helpers.go err != nil":                              "a string always has a JSON form",
	"assertion.go err != nil":                            "a key that was checked signs",
	"forget.go err != nil":                               "a URL that was checked makes a request",
	"login.go err != nil":                                "a URL that was checked parses; randomness never fails",
	"persist.go err != nil":                              "a log line and false, which is the zero value",
	"lease.go errors.Is(err, ErrConflict)":               "what is lost is lost at the next save, too",
	"remote.go err != nil":                               "a request for a path that was escaped",
	"subject.go err != nil":                              "a URL that was checked makes a request",
	"find.go err != nil":                                 "a file that was opened can be looked at and read",
	"jwt.go err != nil":                                  "JSON that was decoded has a value of Terraform",
	"jwt.go ferr != nil":                                 "the framework checks the argument before",
}

// own are the tests of a package.
func own(dir string) []mutation.Tests {
	return []mutation.Tests{{Dir: filepath.Join("..", filepath.FromSlash(dir)), Args: []string{"."}}}
}

// TestEveryRefusalOfTokendIsHeld takes the refusals of tokend and of its provider
// out, one at a time, and expects a test to fail. MUTANTS=all tries all of them,
// MUTANTS=DIR those of a package (make mutants); otherwise it is a slice.
func TestEveryRefusalOfTokendIsHeld(t *testing.T) {
	for i, part := range parts {
		list, err := mutation.RefusalsIn(filepath.Join("..", filepath.FromSlash(part.dir)), refusing)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) < part.least {
			t.Errorf("only %d refusals were found in %s", len(list), part.dir)
		}
		switch wanted := os.Getenv("MUTANTS"); {
		case wanted == "all", wanted == part.dir:
		case wanted != "":
			list = nil
		case i < 3:
			list = list[:1]
		default: // they take longer
			list = nil
		}
		for _, m := range list {
			t.Run(part.dir+"/"+m.Name, func(t *testing.T) {
				test, err := m.HeldBy(part.tests...)
				place, condition, _ := strings.Cut(m.Name, " ")
				file, _, _ := strings.Cut(place, ":")
				if why := unreachable[file+" "+condition]; why != "" && errors.Is(err, mutation.ErrUnnoticed) {
					t.Logf("unnoticed: %s", why)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("held by %s", test)
			})
		}
	}
}
