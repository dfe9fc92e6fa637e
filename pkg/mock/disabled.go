package mock

import "example.com/tokend/pkg/mock/tenant"

// Endpoints of features that are off by default. Every recorded tenant lists them in
// discovery.

// register is POST /oidc/register: dynamic registration is off by default
// (https://auth0.com/docs/get-started/applications/dynamic-client-registration).
func (t *Tenant) register(c *call) {
	t.refuseToken(c, refuse("access_denied", "Dynamic client registration is not enabled"))
}

// mfaEnrolment is POST /mfa/associate and GET /mfa/authenticators: factors are in the
// tenant file, so it answers as a tenant whose client may not use MFA.
func (t *Tenant) mfaEnrolment(c *call) {
	t.refuseToken(c, notAllowed(tenant.GrantMFAOTP).withReason("the mock does not have enrolment of second factors"))
}

// backchannelAuthorize is /bc-authorize: it answers as a tenant whose client may not use
// CIBA.
func (t *Tenant) backchannelAuthorize(c *call) {
	t.refuseToken(c, notAllowed("urn:openid:params:grant-type:ciba").withReason("the mock does not have CIBA"))
}
