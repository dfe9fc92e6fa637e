package mock

import (
	"errors"
	"fmt"

	"example.com/tokend/pkg/mock/tenant"
)

// fieldError reports a value that the tenant does not accept.
func fieldError(field, format string, args ...any) error {
	return &tenant.FieldError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// errorList collects the errors of a tenant's description.
type errorList []error

// add adds the errors of one object and sets where the object is in the file.
func (l *errorList) add(err error, object string, args ...any) {
	for _, e := range tenant.FieldErrors(err) {
		e.Object = fmt.Sprintf(object, args...)
		*l = append(*l, e)
	}
}

func (l errorList) err() error { return errors.Join(l...) }
