package tenantfile

import (
	"fmt"

	"example.com/tokend/internal/near"
)

// strange notes a name that nothing here reads. One that is nearly a known one
// is a typing error, most likely.
func (l *loader) strange(prefix, name, where string, known []string) {
	if meant := near.Name(name, known); meant != "" {
		l.typos = append(l.typos, fmt.Sprintf("%s%s (%s): did you mean %s?", prefix, name, where, meant))
		return
	}
	l.ignore(prefix+name, where)
}
