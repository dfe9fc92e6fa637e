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

// refusing are the functions and types that tokend reports errors with.
var refusing = []string{
	"exitf", "hintf", "exitError", // cmd/tokend
	"warning", "problemOf", "serviceProblem", // internal/doctor, which has problem too
	"add", "addAt", "fault", "wrong", // internal/config
	"problem", "fail", "failFor", "failWith", "badRequest", // internal/daemon
	"forbidden", "unauthorized", "wrongKey", "rejected", "answer", // internal/guard, internal/proxy
	"Error", "badUpstream", "configError", // pkg/flow
	"damaged", "replaced", "badSize", "tooNew", "noKeyset", "notWritable", // internal/store
	"Refusal", "NewErrorDiagnostic", "NewAttributeErrorDiagnostic", // terraform
	"addressError", "unreachable", "refusal", "unreadable", "keyError", // pkg/tokend
	"refuse",                       // internal/durable
	"errorf", "Told", "usageError", // internal/format, cmd/tokend-credential
	"Errorf", "New",
}

// parts are the packages whose refusals are removed, each with its tests.
var parts = []struct {
	dir   string
	least int // expected number of refusals
	tests []mutation.Tests
}{
	{"pkg/flow", 80, own("pkg/flow")},
	{"internal/daemon", 38, own("internal/daemon")},
	{"internal/guard", 14, own("internal/guard")},
	{"internal/proxy", 15, own("internal/proxy")},
	{"internal/tokenfile", 12, own("internal/tokenfile")},
	{"internal/durable", 7, own("internal/durable")},
	{"internal/apikey", 10, own("internal/apikey")},
	{"internal/audit", 4, own("internal/audit")},
	{"internal/config", 50, own("internal/config")},
	{"pkg/tokend", 15, own("pkg/tokend")},
	{"internal/format", 25, own("internal/format")},
	{"cmd/tokend-credential", 3, own("cmd/tokend-credential")},
	{"internal/store", 30, own("internal/store")},
	{"internal/store/seal", 7, own("internal/store/seal")},
	{"internal/store/sqlite", 40, sqliteTests()},
	{"internal/store/postgres", 30, postgresTests()},
	{"internal/storeurl", 2, own("internal/storeurl")},
	{"internal/events", 3, own("internal/events")},
	{"internal/systemd", 8, own("internal/systemd")},
	{"internal/doctor", 40, append(own("internal/doctor"), mutation.Tests{Dir: filepath.Join("..", "cmd", "tokend"), Args: []string{"-run", "^Test(Doctor|X30)", "."}})},
	{"cmd/tokend", 60, append(own("cmd/tokend"), mutation.Tests{Args: []string{"-run", "^TestScripts$", "."}})},
	{"terraform/internal/service", 15, own("terraform/internal/service")},
	{"terraform/internal/provider", 20, own("terraform/internal/provider")},
}

// unreachable are refusals that no test can reach, and false positives. The key
// is the file, with its directory if two have the name, and the condition.
var unreachable = map[string]string{
	"sockets.go err != nil": "net.FileListener of a socket that was checked before",
	"internal/doctor/service.go errors.Is(err, fs.ErrPermission)": "root may connect to every socket",
	"file.go err == nil":                   "the check is repeated when the file is opened",
	"file.go f.verbose":                    "slog.New is not a refusal",
	"inspect.go err != nil":                "decoded JSON always has a JSON form",
	"helpers.go err != nil":                "a string always has a JSON form",
	"config.go err != nil":                 "every variable of the service is text, which always parses",
	"audit.go l.log == nil":                "slog.New is not a refusal",
	"serve.go s.JSON":                      "slog.New is not a refusal",
	"assertion.go err != nil":              "a key that was checked signs",
	"forget.go err != nil":                 "a URL that was checked makes a request",
	"login.go err != nil":                  "a URL that was checked parses; randomness never fails",
	"persist.go err != nil":                "a log line and false, which is the zero value",
	"lease.go errors.Is(err, ErrConflict)": "a lost lease is detected at the next save, too",
	"subject.go err != nil":                "a URL that was checked makes a request",
	"pkg/tokend/client.go err != nil":      "the path of the request was escaped",
	"pkg/tokend/key.go err != nil":         "an opened file can be read",
	"exchange.go g.State == GrantDead":     "decide rejects a dead grant before; this check protects against changes there",
	"members.go err != nil":                "everything after a malformed member is rejected as well, with the same text",
	"provider.go p.log == nil":             "slog.New is not a refusal",
	"provider.go err != nil":               "a URL that was checked makes a request",
	"headless.go err != nil":               "a URL that was checked makes a request",
	"find.go err != nil":                   "an opened file can be read",
	"jwt.go err != nil":                    "JSON that was decoded has a value of Terraform",
	"internal/store/keyset.go err != nil":  "an opened file can be read; the directory was just written to",
	"internal/apikey/apikey.go err != nil": "the lock's file was just written in the same directory",
	"internal/durable/read.go err != nil":  "an opened file can be read",
	"internal/store/keyset.go err != nil && !errors.Is(err, fs.ErrExist)":        "a file system without hard links",
	"internal/store/spill.go err != nil":                                         "a sealed grant always has a JSON form; the directory was just written to",
	"internal/store/rotate.go err != nil":                                        "a spilled grant was read just before, without its lease",
	"internal/store/transfer.go err != nil":                                      "grants that were read have a JSON form",
	"internal/store/transfer.go err == nil && len(b) > maxExport":                "a file above 2 GiB is not tried",
	"storecmd.go err != nil":                                                     "a file above 2 GiB is not tried",
	"internal/store/seal/seal.go err != nil":                                     "randomness, encryption and writing to memory do not fail",
	"internal/store/postgres/postgres.go err == nil && tag.RowsAffected() == 0":  "followNow detects another store before; this is for a change between the two",
	"internal/store/sqlite/holder.go err != nil":                                 "the directory was just created or found",
	"internal/store/sqlite/schema.go err != nil":                                 "a new file can be closed; its directory was just written to",
	"internal/store/sqlite/schema.go err != nil && !errors.Is(err, fs.ErrExist)": "a file system without hard links",
	"internal/store/sqlite/sqlite.go err != nil":                                 "the file was just created or found; sql.Open opens nothing yet",
	"jwt.go ferr != nil":                                                         "the framework checks the argument before",
}

// own returns the tests of a package.
func own(dir string) []mutation.Tests {
	return []mutation.Tests{{Dir: filepath.Join("..", filepath.FromSlash(dir)), Args: []string{"."}}}
}

// sqliteTests returns the tests of sqlite, the fast ones first, and those of
// internal/store that run as another user.
func sqliteTests() []mutation.Tests {
	const slow = "^Test(Damage|Save_LockedDatabase|Store|Processes_Killed)"
	dir := filepath.Join("..", "internal", "store", "sqlite")
	return []mutation.Tests{
		{Dir: dir, Args: []string{"-skip", slow, "."}},
		{Dir: dir, Args: []string{"-run", slow, "."}},
		{Dir: filepath.Dir(dir), Args: []string{"-run", "^TestOpen_DirectoryNotWritable$", "."}},
	}
}

// postgresTests returns the tests of postgres, the fast ones first.
func postgresTests() []mutation.Tests {
	const slow = "^Test(Store|Failover|Lost|Down|Hangs|Synchronous|PoolExhausted|PgBouncer|Processes|UseKey|Watch|ReadOnly)"
	dir := filepath.Join("..", "internal", "store", "postgres")
	return []mutation.Tests{{Dir: dir, Args: []string{"-skip", slow, "."}}, {Dir: dir, Args: []string{"-run", slow, "."}}}
}

// TestEveryRefusalOfTokend removes the refusals of tokend and of its Terraform
// provider, one at a time, and expects a test to fail. MUTANTS=all tries all of
// them, MUTANTS=DIR those of a package (make mutants); otherwise it tries a few.
func TestEveryRefusalOfTokend(t *testing.T) {
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
		case i < 5:
			list = list[:1]
		default: // these take longer
			list = nil
		}
		for _, m := range list {
			t.Run(part.dir+"/"+m.Name, func(t *testing.T) {
				test, err := m.CaughtBy(part.tests...)
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
				t.Logf("caught by %s", test)
			})
		}
	}
}
