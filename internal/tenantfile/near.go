package tenantfile

import (
	"fmt"

	"example.com/tokend/internal/near"
)

// strange notes an unknown name. A name close to a known one is probably a typing
// error.
func (l *loader) strange(prefix, name, where string, known []string) {
	if meant := near.Name(name, known); meant != "" {
		l.typos = append(l.typos, fmt.Sprintf("%s%s (%s): did you mean %s?", prefix, name, where, meant))
		return
	}
	l.ignore(prefix+name, where)
}
