package tenant

// Complete checks an organization and fills in what the Management API would.
func (o *Organization) Complete() error {
	if o.Name == "" {
		return fieldError("name", "an organization needs a name")
	}
	if o.ID == "" {
		o.ID = "org_" + derivedID(o.Name, 16)
	}
	return nil
}
