// Package version says which build of a program runs.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// linked is set where the build has no version control to read, as in an image:
//
//	go build -ldflags "-X example.com/tokend/internal/version.linked=v1.2.3"
var linked string

// Info is a build, as "version --format json" prints it.
type Info struct {
	Program string `json:"program"`
	Version string `json:"version"` // of the module, such as v1.2.3 or v0.0.0-20260102030405-0123456789ab
	Commit  string `json:"commit"`  // "" when the build did not know it
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// Read returns the build of this process.
func Read(program string) Info {
	i := Info{Program: program, Version: "unknown", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			i.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				i.Commit = s.Value
			}
		}
	}
	if linked != "" {
		i.Version = linked
	}
	return i
}

// String is the line that "version" prints.
func (i Info) String() string {
	return fmt.Sprintf("%s %s %s %s/%s", i.Program, i.Version, i.Go, i.OS, i.Arch)
}
