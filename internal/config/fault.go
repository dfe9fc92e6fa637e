package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fault is one error in a configuration.
type Fault struct {
	Setting string // such as "clients.demo.issuer"; "": the whole file
	File    string // that has the setting; "": it is in a variable, or missing
	Line    int    // in File; 0: unknown
	Column  int    // of a syntax error; 0: unknown
	Text    string // what is wrong, without file and line
	Hint    string // what to do
}

// Message says what is wrong and where: FILE:LINE: text.
func (f Fault) Message() string {
	place := f.File
	for _, n := range []int{f.Line, f.Column} {
		if place != "" && n > 0 {
			place += ":" + strconv.Itoa(n)
		}
	}
	if place == "" {
		return f.Text
	}
	return place + ": " + f.Text
}

// String is the fault in one line.
func (f Fault) String() string {
	if f.Hint == "" {
		return f.Message()
	}
	return f.Message() + "; hint: " + f.Hint
}

// Faults are all errors in a configuration.
type Faults []Fault

// Error returns a line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// Err is nil when there is no fault.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// About reports whether a fault is about one of these settings, the file that
// holds it, or a setting below it.
func (f Faults) About(settings ...string) bool {
	return slices.ContainsFunc(f, func(fault Fault) bool {
		return slices.ContainsFunc(settings, func(s string) bool {
			return fault.Setting == s || fault.Setting == s+"_file" || strings.HasPrefix(fault.Setting, s+".")
		})
	})
}

// NoClient reports whether the only fault is that no client is configured.
func (f Faults) NoClient() bool {
	return len(f) == 1 && f[0].Setting == "clients" && f[0].File == ""
}

// add records a fault of a setting, with the place where it stands.
func (l *loader) add(setting, hint, format string, args ...any) {
	file, line := l.origin(setting)
	l.addAt(setting, file, line, hint, format, args...)
}

// addAt records a fault at a known place.
func (l *loader) addAt(setting, file string, line int, hint, format string, args ...any) {
	l.faults = append(l.faults, Fault{Setting: setting, File: file, Line: line, Text: fmt.Sprintf(format, args...), Hint: hint})
}
