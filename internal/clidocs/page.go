package clidocs

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Page compares the part of a page that is a program's reference with its commands, and
// with update writes it. The part is between two comments.
func Page(file string, root *cobra.Command, update bool) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	begin, end := "<!-- "+root.Name()+" -->\n", "<!-- end of "+root.Name()+" -->"
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%s has no part between %q and %q", file, begin, end)
	}
	want := before + begin + "\n" + Markdown(root) + end + after
	if want == string(page) {
		return nil
	}
	if update {
		return os.WriteFile(file, []byte(want), 0o644) //nolint:gosec // documentation
	}
	return fmt.Errorf("%s is not what the commands of %s say", file, root.Name())
}
