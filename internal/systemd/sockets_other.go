//go:build !unix

package systemd

import (
	"io/fs"
	"os"
)

// No service manager passes sockets here.

func accepts(*os.File) bool { return false }

func owner(fs.FileInfo) (uid int, known bool) { return 0, false }
