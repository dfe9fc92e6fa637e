package mock

import (
	"fmt"

	"example.com/tokend/pkg/mock/tenant"
)

// Reload replaces the tenant's objects by those of a file. A file that is not valid
// changes nothing. Sessions, grants and tokens stay, as when an administrator
// changes a real tenant. [Tenant.Reset] returns to this file from then on.
func (t *Tenant) Reload(e *tenant.File) error {
	d, err := newDescription(e)
	if err != nil {
		return fmt.Errorf("mock: %w", err)
	}
	t.mu.Lock()
	t.st.description, t.file, t.revision = *d, e, 0
	t.mu.Unlock()
	t.changed()
	return nil
}
