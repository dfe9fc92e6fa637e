//go:build !unix

package terminal

import "os"

// windowSize is not known on this system: there is no terminal.
func windowSize(*os.File) (width, height int, ok bool) { return 0, 0, false }
