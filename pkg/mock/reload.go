package mock

// Reload puts another description in the place of the tenant's: wholly, or
// not at all when it has faults. Sessions, grants and tokens stay, as they do
// when an administrator changes a real tenant. [Tenant.Reset] returns to it.
func (t *Tenant) Reload(e *Export) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	st, err := newState(e, t.st.login)
	if err != nil {
		return err
	}
	old := t.st
	st.sessions, st.logins, st.consents, st.codes = old.sessions, old.logins, old.consents, old.codes
	st.families, st.refresh, st.owned = old.families, old.refresh, old.owned
	st.devices, st.pushed, st.attempts, st.revoked, st.jtis = old.devices, old.pushed, old.attempts, old.revoked, old.jtis
	for state, tx := range st.logins { // the application may be gone
		if tx.req == nil {
			continue
		}
		if c := st.clients[tx.req.client.ClientID]; c != nil {
			tx.req.client = c
		} else {
			delete(st.logins, state)
		}
	}
	t.st = st
	t.cfg.Tenant = e
	return nil
}
