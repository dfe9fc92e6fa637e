package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTail_ReadsTheEnd(t *testing.T) {
	line := func(n int) string { return fmt.Sprintf(`{"action":"token","n":%d}`, n) }
	lines := func(from, to int) string {
		var b strings.Builder
		for n := from; n < to; n++ {
			b.WriteString(line(n) + "\n")
		}
		return b.String()
	}
	const many = 20000 // more than is read
	for name, tt := range map[string]struct {
		file, before string // audit_file and audit_file.1
		first, last  string // "": any
		count        int    // 0: any
	}{
		"empty":             {},
		"a file":            {file: lines(0, 3), first: line(0), last: line(2), count: 3},
		"two files":         {file: lines(2, 3), before: lines(0, 2), first: line(0), last: line(2), count: 3},
		"a large file":      {file: lines(0, many), before: lines(0, 2), last: line(many - 1)},
		"a large one first": {file: lines(many, many+2), before: lines(0, many), last: line(many + 1)},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			for path, text := range map[string]string{path: tt.file, path + ".1": tt.before} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			l, err := Open(Config{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			got, err := l.Tail()
			if err != nil {
				t.Fatal(err)
			}
			size := 0
			for _, b := range got {
				if size += len(b) + 1; !strings.HasPrefix(string(b), `{"action":"token","n":`) || !strings.HasSuffix(string(b), "}") {
					t.Fatalf("a line is cut: %s", b)
				}
			}
			if size > tailSize || tt.count > 0 && len(got) != tt.count || tt.last != "" && string(got[len(got)-1]) != tt.last || tt.first != "" && string(got[0]) != tt.first {
				t.Errorf("%d lines, %d bytes", len(got), size)
			}
		})
	}
	if got, err := (*Log)(nil).Tail(); got != nil || err != nil {
		t.Errorf("without a log: %q, %v", got, err)
	}
}
