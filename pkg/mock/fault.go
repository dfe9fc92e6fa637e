package mock

import (
	"errors"
	"fmt"
)

// faultf is one fault of a tenant's description: which field, what is wrong.
func faultf(field, format string, args ...any) error {
	return fmt.Errorf("mock: %s: %s", field, fmt.Sprintf(format, args...))
}

// faultList collects all faults, each with its place.
type faultList []error

// add adds a fault, or each of several that are joined.
func (l *faultList) add(err error, place string, args ...any) {
	var joined interface{ Unwrap() []error }
	switch {
	case err == nil:
	case errors.As(err, &joined):
		for _, err := range joined.Unwrap() {
			l.add(err, place, args...)
		}
	default:
		*l = append(*l, fmt.Errorf("%s: %w", fmt.Sprintf(place, args...), err))
	}
}

func (l faultList) err() error { return errors.Join(l...) }
