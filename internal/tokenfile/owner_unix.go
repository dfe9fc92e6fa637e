//go:build unix

package tokenfile

import (
	"fmt"
	"io/fs"
	"syscall"

	"example.com/tokend/internal/hint"
)

// guardOwner refuses a directory of somebody else, which only root can write to
// all the same: its owner could put another file in the token's place, a link in
// the directory's, and by its group decide who reads.
func guardOwner(dir string, fi fs.FileInfo, uid int) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == uid || st.Uid == 0 {
		return nil
	}
	return hint.Errorf(fmt.Sprintf("run it as that user, or chown root %s", dir), "%w: directory %s belongs to user %d, and this runs as user %d", ErrRefused, dir, st.Uid, uid)
}
