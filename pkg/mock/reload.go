package mock

import (
	"fmt"

	"example.com/tokend/pkg/mock/tenant"
)

// Reload puts another description in the place of the tenant's: wholly, or
// not at all when it has faults. Sessions, grants and tokens stay, as they do
// when an administrator changes a real tenant. [Tenant.Reset] returns to it.
func (t *Tenant) Reload(e *tenant.File) error {
	d, err := newDescription(e)
	if err != nil {
		return fmt.Errorf("mock: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.st.description = *d
	t.file = e
	return nil
}
