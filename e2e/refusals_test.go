package e2e_test

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tokend/internal/mutation"
)

// refusing are the functions and types that tokend refuses with.
var refusing = []string{
	"exitf", "hintf", "exitError", "add", // cmd/tokend
	"warning", "problemOf", "serviceProblem", // internal/doctor, which has problem too
	"problem", "fail", "failFor", "failWith", "forbidden", "badRequest", "unauthorized", // internal/daemon
	"Error", "badUpstream", "configError", // pkg/flow
	"damaged", "replaced", "badSize", "tooNew", "noKeyset", "notWritable", // internal/store
	"Refusal", "NewErrorDiagnostic", "NewAttributeErrorDiagnostic", // terraform
	"addressError", "unreachable", "refusal", "unreadable", "keyError", // pkg/tokend
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
	{"pkg/tokend", 15, own("pkg/tokend")},
	{"internal/store", 40, own("internal/store")},
	{"internal/store/seal", 7, own("internal/store/seal")},
	{"internal/store/sqlite", 40, sqliteTests()},
	{"internal/doctor", 40, append(own("internal/doctor"), mutation.Tests{Dir: filepath.Join("..", "cmd", "tokend"), Args: []string{"-run", "^TestDoctor", "."}})},
	{"cmd/tokend", 100, append(own("cmd/tokend"), mutation.Tests{Args: []string{"-run", "^TestScripts$", "."}})},
	{"terraform/internal/service", 15, own("terraform/internal/service")},
	{"terraform/internal/provider", 20, own("terraform/internal/provider")},
}

// unreachable are refusals that no test can meet, and what is none. They are told
// apart by file, with its directory where two have the name, and condition.
var unreachable = map[string]string{
	"activation.go err != nil":                                    "net.FileListener of a socket that was looked at before",
	"internal/doctor/service.go errors.Is(err, fs.ErrPermission)": "root may connect to every socket",
	"file.go err == nil":                                          "the same check comes again when the file is opened",
	"file.go f.verbose":                                           "slog.New is no refusal",
	"settings.go err != nil":                                      "every variable of the service is text, which always parses",
	"serve.go s.json":                                             "slog.New is no refusal",
	"helpers.go err != nil":                                       "a string always has a JSON form",
	"assertion.go err != nil":                                     "a key that was checked signs",
	"forget.go err != nil":                                        "a URL that was checked makes a request",
	"login.go err != nil":                                         "a URL that was checked parses; randomness never fails",
	"persist.go err != nil":                                       "a log line and false, which is the zero value",
	"lease.go errors.Is(err, ErrConflict)":                        "what is lost is lost at the next save, too",
	"subject.go err != nil":                                       "a URL that was checked makes a request",
	"pkg/tokend/client.go err != nil":                             "a request for a path that was escaped",
	"pkg/tokend/key.go err != nil":                                "a file that was opened can be looked at and read",
	"exchange.go g.State == GrantDead":                            "decide refuses a dead grant before; a spent seed is not to be sent, whatever changes there",
	"members.go err != nil":                                       "what follows a malformed member is refused as well, with the same words",
	"provider.go p.log == nil":                                    "slog.New is no refusal",
	"provider.go err != nil":                                      "a URL that was checked makes a request",
	"signin.go err != nil":                                        "a URL that was checked makes a request",
	"find.go err != nil":                                          "a file that was opened can be looked at and read",
	"jwt.go err != nil":                                           "JSON that was decoded has a value of Terraform",
	"internal/store/keyset.go err != nil":                         "a file that was opened can be looked at and read; the directory was just written to",
	"internal/store/keyset.go !os.SameFile(fi, opened)":           "the file would have to be replaced between two system calls",
	"internal/store/keyset.go err != nil && !errors.Is(err, fs.ErrExist)":        "a file system without hard links",
	"internal/store/spill.go err != nil":                                         "what is sealed always has a JSON form; the directory was just written to",
	"internal/store/seal/seal.go err != nil":                                     "randomness, encryption and writing to memory do not fail",
	"internal/store/sqlite/alive.go err != nil":                                  "the directory was just made or found",
	"internal/store/sqlite/schema.go err != nil":                                 "a new file can be closed; its directory was just written to",
	"internal/store/sqlite/schema.go err != nil && !errors.Is(err, fs.ErrExist)": "a file system without hard links",
	"internal/store/sqlite/sqlite.go err != nil":                                 "the file was just made or found; sql.Open opens nothing yet",
	"jwt.go ferr != nil":                                                         "the framework checks the argument before",
}

// own are the tests of a package.
func own(dir string) []mutation.Tests {
	return []mutation.Tests{{Dir: filepath.Join("..", filepath.FromSlash(dir)), Args: []string{"."}}}
}

// sqliteTests are its own, the quick ones first, and those of internal/store that
// run as another user.
func sqliteTests() []mutation.Tests {
	const slow = "^Test(F19|F30|Store|Killed)"
	dir := filepath.Join("..", "internal", "store", "sqlite")
	return []mutation.Tests{
		{Dir: dir, Args: []string{"-skip", slow, "."}},
		{Dir: dir, Args: []string{"-run", slow, "."}},
		{Dir: filepath.Dir(dir), Args: []string{"-run", "^TestF18_", "."}},
	}
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
				why := cmp.Or(unreachable[part.dir+"/"+file+" "+condition], unreachable[file+" "+condition])
				if why != "" && errors.Is(err, mutation.ErrUnnoticed) {
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
