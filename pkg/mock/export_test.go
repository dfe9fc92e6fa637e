package mock

import "net/http"

// SendLogoutTokensBy replaces the transport of logout tokens.
func (t *Tenant) SendLogoutTokensBy(rt http.RoundTripper) { t.deliveries.transport = rt }

// WaitForLogoutTokens waits until every logout token is sent.
func (t *Tenant) WaitForLogoutTokens() {
	t.deliveries.mu.Lock()
	b := t.deliveries.current
	t.deliveries.mu.Unlock()
	b.running.Wait()
}

// Routes returns the methods of each path of the route table, for tests.
func (t *Tenant) Routes() map[string]string {
	out := map[string]string{}
	for path, r := range t.routes {
		out[path] = r.methods
	}
	return out
}

// SignUpAsMany makes the tenant count as many sign-ups as it accepts.
func (t *Tenant) SignUpAsMany() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.st.signups = maxSignups
}

// KeepAtMost changes how many entries of each kind of state the tenant keeps.
func (t *Tenant) KeepAtMost(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.st.room.most = n
}
