package mock

// Routes returns the methods of each path of the route table, for tests.
func (t *Tenant) Routes() map[string]string {
	out := map[string]string{}
	for path, r := range t.routes {
		out[path] = r.methods
	}
	return out
}
