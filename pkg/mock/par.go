package mock

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	requestURIPrefix = "urn:ietf:params:oauth:request_uri:"
	parLifetime      = 30 * time.Second
	parMaxSize       = 10 << 10
)

// pushed is a pushed authorization request (RFC 9126), which can be used once.
type pushed struct {
	client  string
	params  parameters
	expires time.Time
}

// par is POST /oauth/par
// (https://auth0.com/docs/get-started/authentication-and-authorization-flow/authorization-code-flow/authorization-code-flow-with-par).
func (t *Tenant) par(c *call) {
	if !t.parSupported() {
		c.setReason("the tenant's setting pushed_authorization_requests_supported is false")
		write(c.w, http.StatusNotFound, htmlType, []byte("Not found"))
		return
	}
	r, bad := c.tokenRequest()
	if bad != nil {
		t.refuseToken(c, bad)
		return
	}
	p, proofErr := c.readProof("") // verifies a signature, so it runs without the lock
	r.proof = p
	t.mu.Lock()
	t.offerNonce(c)
	uri, bad := t.push(c, r, proofErr)
	t.mu.Unlock()
	if bad != nil {
		t.refuseToken(c, bad)
		return
	}
	write(c.w, http.StatusCreated, jsonTypeUTF8, object{
		{"expires_in", int(parLifetime.Seconds())}, {"request_uri", uri},
	}.bytes())
}

// parSupported reports whether the tenant takes pushed requests. Auth0's own default is
// off; here only a tenant that says so has no endpoint, because clients may require it.
func (t *Tenant) parSupported() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	on := t.st.settings.PARSupported
	return on == nil || *on
}

// push keeps a request. A DPoP proof with it is as good as its dpop_jkt (RFC 9449
// section 10.1).
func (t *Tenant) push(c *call, r tokenRequest, proofErr *oauthError) (string, *oauthError) {
	client, bad := t.authenticateClient(c, r)
	if bad != nil {
		return "", bad
	}
	if proofErr != nil {
		return "", proofErr
	}
	if bad := t.acceptProof(c, client, r.proof); bad != nil {
		return "", bad
	}
	if len(r.Encode()) > parMaxSize {
		return "", refuse("invalid_request", "The pushed request is larger than 10 KB")
	}
	if r.Has("request_uri") {
		return "", refuse("invalid_request", "request_uri cannot be pushed") // RFC 9126 section 2.1
	}
	p := parameters{url.Values{}}
	for k, v := range r.Values {
		if k != "client_secret" && k != "client_assertion" && k != "client_assertion_type" {
			p.Values[k] = v
		}
	}
	p.Set("client_id", client.ClientID)
	if r.proof != nil {
		if jkt := p.Get("dpop_jkt"); jkt != "" && jkt != r.proof.thumbprint {
			return "", badProof("dpop_jkt is not the thumbprint of the DPoP proof's key")
		}
		p.Set("dpop_jkt", r.proof.thumbprint)
	}
	if _, bad := t.parseAuthorize(c, p, true); bad != nil {
		return "", bad
	}
	makeRoom(&t.st.room, t.st.pushed, func(old *pushed) bool { return old.expires.Before(c.now) },
		func(old *pushed) time.Time { return old.expires })
	uri := requestURIPrefix + t.randomString(64)
	t.st.pushed[uri] = &pushed{client: client.ClientID, params: p, expires: c.now.Add(parLifetime)}
	return uri, nil
}

// popPushed returns the pushed request of a request_uri and deletes it.
func (t *Tenant) popPushed(p parameters, now time.Time) (parameters, bool, *oauthError) {
	uri := p.Get("request_uri")
	if !strings.HasPrefix(uri, requestURIPrefix) {
		return p, false, nil
	}
	req := t.st.pushed[uri]
	if req == nil || req.client != p.Get("client_id") || !now.Before(req.expires) {
		return p, false, refuse("invalid_request", "The request_uri is invalid, used or expired")
	}
	delete(t.st.pushed, uri)
	return req.params, true, nil
}
