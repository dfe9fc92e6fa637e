package tenantfile

import (
	"fmt"

	"example.com/tokend/internal/near"
)

// strange notes an unknown section. A name close to a known one is probably a typing
// error.
func (l *loader) strange(name, where string, known []string) {
	if meant := near.Name(name, known); meant != "" {
		l.typos = append(l.typos, fmt.Sprintf("%s (%s): did you mean %s?", name, where, meant))
		return
	}
	l.ignore(name, where)
}
