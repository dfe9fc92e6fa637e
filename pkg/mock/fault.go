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

func (l *faultList) add(err error, place string, args ...any) {
	if err != nil {
		*l = append(*l, fmt.Errorf("%s: %w", fmt.Sprintf(place, args...), err))
	}
}

func (l faultList) err() error { return errors.Join(l...) }
