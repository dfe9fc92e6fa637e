package mock

import (
	"net/http"
	"slices"
	"strings"

	"example.com/tokend/pkg/mock/tenant"
)

// The values of organization_require_behavior that ask the user
// (https://auth0.com/docs/manage-users/organizations/configure-organizations/define-organization-behavior).
const (
	preLoginPrompt  = "pre_login_prompt"
	postLoginPrompt = "post_login_prompt"
	mostInPicker    = 20
)

// checkOrganization reads the organization of a request, or how the user chooses one.
func (t *Tenant) checkOrganization(req *authRequest, p parameters) *oauthError {
	ref := p.Get("organization")
	if ref == "" {
		return checkNoOrganization(req)
	}
	org := t.st.requestedOrganization(ref)
	if org == nil {
		return refuse("invalid_request", "parameter organization is invalid: "+clip(ref))
	}
	if !req.client.UsesOrganizations() {
		return refuse("invalid_request", "parameter organization is not allowed for this client")
	}
	req.organization = org.ID
	return nil
}

func checkNoOrganization(req *authRequest) *oauthError {
	behaviour := req.client.OrganizationRequire
	switch {
	case !req.client.UsesOrganizations():
	case behaviour == postLoginPrompt, behaviour == preLoginPrompt && req.client.OrganizationUsage == "require":
		req.asksFor = behaviour
	case req.client.OrganizationUsage == "require":
		return refuse("invalid_request", "parameter organization is required for this client")
	}
	return nil
}

// chooseOrganization sets the organization of a request without one, or returns the
// path of the page on which the user chooses. A member of one organization needs no
// page where an organization is required.
func (t *Tenant) chooseOrganization(tx *transaction, u *tenant.User) (string, *oauthError) {
	req := tx.req
	if req.asksFor == "" || req.organization != "" || tx.personal {
		return "", nil
	}
	list := t.st.organizationsOf(u.UserID)
	required := req.client.OrganizationUsage == "require"
	switch {
	case len(list) == 0 && required:
		return "", refuse("invalid_request", "client requires organization membership, but user does not belong to any organization")
	case len(list) == 0, !required && t.loginMode(req.client) == LoginAuto:
		tx.personal = true
	case required && (len(list) == 1 || t.loginMode(req.client) == LoginAuto):
		req.organization = list[0].ID
	default:
		return "/u/organization/picker", nil
	}
	return "", nil
}

func (t *Tenant) isMember(req *authRequest, u *tenant.User) *oauthError {
	if req.organization == "" {
		return nil
	}
	o := t.st.orgs[req.organization]
	if o != nil && !slices.Contains(o.Members, u.UserID) && o.AutoMembership(u.Connection) {
		o = t.st.addMember(o, u)
	}
	if o == nil || !slices.Contains(o.Members, u.UserID) {
		return refuse("access_denied", "user "+u.UserID+" is not part of the "+req.organization+" organization")
	}
	return nil
}

// addMember replaces an organization by a copy with another member.
func (st *description) addMember(o *tenant.Organization, u *tenant.User) *tenant.Organization {
	more := *o
	more.Members = append(slices.Clone(o.Members), u.UserID)
	st.orgs[o.ID] = &more
	st.revision++
	return &more
}

// organizationPage is /u/organization, where the user enters the name before the login,
// and /u/organization/picker, where they choose after it.
func (t *Tenant) organizationPage(c *call) {
	form, bad := c.pageForm()
	if bad != nil {
		t.errorPage(c, nil, bad)
		return
	}
	picker := strings.HasSuffix(c.r.URL.Path, "/picker")
	t.mu.Lock()
	tx, s := t.transactionOf(c, form.Get("state"))
	if tx == nil || tx.logout || picker && t.st.users[s.user] == nil {
		t.mu.Unlock()
		t.noTransactionPage(c)
		return
	}
	c.entry.ClientID = tx.req.client.ClientID
	view := map[string]any{
		"State": tx.state, "Client": tx.req.client.Name, "Tenant": t.st.settings.FriendlyName, "Path": c.r.URL.Path,
		"Picker": picker, "Organizations": nil, "Personal": false, "Error": "",
	}
	if picker {
		list := t.st.organizationsOf(s.user)
		view["Organizations"] = list[:min(len(list), mostInPicker)]
		view["Personal"] = tx.req.client.OrganizationUsage != "require"
	}
	if c.r.Method != http.MethodPost {
		t.mu.Unlock()
		render(c, http.StatusOK, "organization.html", view)
		return
	}
	problem := t.setOrganization(tx, form.Get("organization"), picker)
	next := "/authorize/resume?state=" + tx.state
	if problem == "" && !picker {
		next = "/u/login?state=" + tx.state
	}
	t.mu.Unlock()
	if problem != "" {
		c.setReason(problem)
		view["Error"] = problem
		render(c, http.StatusBadRequest, "organization.html", view)
		return
	}
	redirect(c, c.path(next))
}

// setOrganization stores what the user chose: an id in the picker, a name before the
// login. It returns the page's message, or "".
func (t *Tenant) setOrganization(tx *transaction, chosen string, picker bool) string {
	if picker && chosen == "" && tx.req.client.OrganizationUsage != "require" {
		tx.personal = true
		return ""
	}
	o := t.st.orgs[chosen]
	if !picker {
		o = t.st.organizationNamed(strings.ToLower(chosen))
	}
	if o == nil {
		return "The organization you entered is invalid."
	}
	tx.req.organization = o.ID
	return ""
}
