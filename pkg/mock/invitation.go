package mock

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

const (
	invitationLifetime = 604800 * time.Second // default at Auth0
	invitationMost     = 2592000              // seconds
)

// invitation is an organization's invitation of one address; kept by the hash of its
// ticket (https://auth0.com/docs/manage-users/organizations/configure-organizations/invite-members).
type invitation struct {
	organization string
	email        string
	expires      time.Time
}

// checkInvitation reads the ticket of a request. It is for one organization.
func (t *Tenant) checkInvitation(req *authRequest, p parameters) *oauthError {
	ticket := p.Get("invitation")
	if ticket == "" {
		return nil
	}
	in := t.st.invitations[hash(ticket)]
	if in == nil || in.organization != req.organization || !t.clock.Now().Before(in.expires) {
		return refuse("invalid_request", "invitation not found or already used")
	}
	req.invitation = ticket
	return nil
}

// acceptInvitation consumes the ticket. The user with its address becomes a member, and
// the address is verified; any other user is refused.
func (t *Tenant) acceptInvitation(c *call, tx *transaction, u *tenant.User) *oauthError {
	req := tx.req
	if req.invitation == "" || tx.invited {
		return nil
	}
	in := t.st.invitations[hash(req.invitation)]
	if in == nil || !c.now.Before(in.expires) {
		return refuse("invalid_request", "invitation not found or already used")
	}
	delete(t.st.invitations, hash(req.invitation))
	if !strings.EqualFold(in.email, u.Email) {
		return refuse("access_denied", "the specified account is not allowed to accept the current invitation")
	}
	tx.invited = true
	if o := t.st.orgs[in.organization]; o != nil {
		t.st.addMember(o, u)
	}
	verified := *u
	verified.EmailVerified = true
	_ = t.st.replaceUser(u, &verified) // the same user, which is valid
	return nil
}

// invitationInput is the form of POST /_mock/organizations/ID/invitations, as in the
// Management API.
type invitationInput struct {
	Inviter struct {
		Name string `json:"name"`
	} `json:"inviter"`
	Invitee struct {
		Email string `json:"email"`
	} `json:"invitee"`
	ClientID string `json:"client_id"`
	TTL      int    `json:"ttl_sec,omitempty"`
}

// invite adds an invitation. It replaces the one of the same address.
func (t *Tenant) invite(o *tenant.Organization, in invitationInput) (any, error) {
	client := t.st.client(in.ClientID)
	switch {
	case client == nil:
		return nil, fieldError("client_id", "%q does not exist", in.ClientID)
	case !client.UsesOrganizations():
		return nil, fieldError("client_id", "organization_usage of %q is deny", in.ClientID)
	case !strings.Contains(in.Invitee.Email, "@"):
		return nil, fieldError("invitee.email", "%q is not an email address", in.Invitee.Email)
	case in.TTL < 0 || in.TTL > invitationMost:
		return nil, fieldError("ttl_sec", "%d is not between 0 and %d", in.TTL, invitationMost)
	}
	life := invitationLifetime
	if in.TTL > 0 {
		life = time.Duration(in.TTL) * time.Second
	}
	now, ticket := t.clock.Now(), t.randomString(32)
	for key, old := range t.st.invitations {
		if old.organization == o.ID && strings.EqualFold(old.email, in.Invitee.Email) || !now.Before(old.expires) {
			delete(t.st.invitations, key)
		}
	}
	t.st.invitations[hash(ticket)] = &invitation{organization: o.ID, email: in.Invitee.Email, expires: now.Add(life)}
	link := ""
	if client.InitiateLoginURI != "" {
		q := query([]member{{"invitation", ticket}, {"organization", o.ID}, {"organization_name", o.Name}})
		link = mergeQuery(client.InitiateLoginURI, q)
	}
	return map[string]any{
		"id": "uinv_" + t.randomString(16), "organization_id": o.ID, "inviter": in.Inviter, "invitee": in.Invitee,
		"invitation_url": link, "ticket_id": ticket, "client_id": client.ClientID,
		"created_at": now.Format(time.RFC3339), "expires_at": now.Add(life).Format(time.RFC3339),
	}, nil
}

// controlInvitations handles POST /_mock/organizations/ID/invitations. It returns false
// for any other call.
func (t *Tenant) controlInvitations(w http.ResponseWriter, r *http.Request) bool {
	rest, found := strings.CutPrefix(r.URL.EscapedPath(), controlPrefix+"organizations/")
	id, isOurs := strings.CutSuffix(rest, "/invitations")
	id, err := url.PathUnescape(id)
	if !found || !isOurs || err != nil || r.Method != http.MethodPost {
		return false
	}
	body, err := io.ReadAll(r.Body)
	var in invitationInput
	if err == nil {
		err = decodeBytes(body, &in)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.st.organization(id)
	switch {
	case err != nil:
		writeInputError(w, err)
	case o == nil:
		controlError(w, http.StatusNotFound, "organizations: "+clip(id)+" does not exist")
	default:
		v, err := t.invite(o, in)
		writeResult(w, v, err)
	}
	return true
}
