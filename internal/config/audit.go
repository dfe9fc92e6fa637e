package config

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// Audit is where the audit log is.
type Audit struct {
	File string // "": none
	Max  int64  // bytes of one file
	Keep int    // older files
}

// minAudit is the smallest size of an audit file, in bytes: the longest entry is half.
const minAudit = 16 << 10

// maxKeep bounds the number of older audit files.
const maxKeep = 1000

func (l *loader) readAudit(s Service) Audit {
	a := Audit{File: s.AuditFile}
	for setting, value := range map[string]string{"audit_max_size": s.AuditMaxSize, "audit_keep": s.AuditKeep} {
		if value != "" && s.AuditFile == "" {
			l.add(setting, "set audit_file, or remove it", "%s has no effect without audit_file", l.nameOf(setting))
		}
	}
	var ok bool
	if a.Max, ok = size(cmp.Or(s.AuditMaxSize, fallback[Service]("audit_max_size"))); !ok || a.Max < minAudit {
		l.add("audit_max_size", "such as 32MiB, at least 16KiB", "%s %q is not a size", l.nameOf("audit_max_size"), s.AuditMaxSize)
	}
	var err error
	if a.Keep, err = strconv.Atoi(cmp.Or(s.AuditKeep, fallback[Service]("audit_keep"))); err != nil || a.Keep < 1 || a.Keep > maxKeep {
		l.add("audit_keep", "a number from 1 to 1000", "%s %q is not a number of files", l.nameOf("audit_keep"), s.AuditKeep)
	}
	return a
}

// size reads a number of bytes, such as 32MiB.
func size(text string) (n int64, ok bool) {
	for _, unit := range []struct {
		name  string
		bytes int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"", 1}} {
		number, found := strings.CutSuffix(text, unit.name)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/unit.bytes {
			return 0, false
		}
		return n * unit.bytes, true
	}
	return 0, false
}
