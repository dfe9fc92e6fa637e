package mock

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

const (
	logoutEvent         = "http://schemas.openid.net/event/backchannel-logout"
	logoutTokenLifetime = 2 * time.Minute
	logoutDeadline      = 5 * time.Second // Auth0 waits as long for the client's answer
)

// logInTo notes that the user logged in to a client in this session.
func (s *session) logInTo(client, issuer string) {
	if s.clients == nil {
		s.clients = map[string]string{}
	}
	s.clients[client] = issuer
}

// logoutToken is a logout token to send (OpenID Connect Back-Channel Logout 1.0).
type logoutToken struct {
	client tenant.Client
	url    string
	claims object
	parent string // journal id of the logout
}

// reportLogout sends a logout token to each client with a back-channel logout URL to
// which the user logged in in this session. The caller holds t.mu; the tokens are
// signed and sent without it.
func (t *Tenant) reportLogout(c *call, s *session) {
	for _, id := range slices.Sorted(maps.Keys(s.clients)) {
		client := t.st.clients[id]
		if client == nil || client.BackchannelLogoutURL() == "" {
			continue
		}
		token := logoutToken{
			client: *client, url: client.BackchannelLogoutURL(), parent: c.id,
			claims: object{ // the order of a published token
				{"iss", s.clients[id]},
				{"sub", s.user},
				{"aud", id},
				{"iat", c.now.Unix()},
				{"exp", c.now.Add(logoutTokenLifetime).Unix()},
				{"jti", t.uuid()},
				{"events", object{{logoutEvent, object{}}}},
				{"trace_id", t.randomHex(16)},
				{"sid", s.sid},
			},
		}
		if !t.deliveries.start(func(ctx context.Context) { t.deliver(ctx, token) }) {
			t.journalDelivery(token, 0, "not sent: too many logout tokens at a time")
		}
	}
}

// deliver signs a logout token and sends it once. Auth0 documents no second try, and
// a 400 as final.
func (t *Tenant) deliver(ctx context.Context, token logoutToken) {
	status, reason := 0, ""
	alg := token.client.JWT.Alg
	if alg == "" {
		alg = "RS256"
	}
	signed, err := t.keys.current().sign(alg, "JWT", token.claims, []byte(token.client.ClientSecret))
	if err == nil {
		status, err = t.postLogoutToken(ctx, token.url, signed)
	}
	switch {
	case errors.Is(context.Cause(ctx), errEnded):
		return
	case err != nil:
		reason = "not delivered: " + err.Error()
	case status == http.StatusBadRequest:
		reason = "the client refused the logout token; it is not sent again"
	case status/100 != 2:
		reason = fmt.Sprintf("the client answered %d; the logout token is not sent again", status)
	}
	t.journalDelivery(token, status, reason)
}

func (t *Tenant) postLogoutToken(ctx context.Context, target, token string) (int, error) {
	body := strings.NewReader(url.Values{"logout_token": {token}}.Encode())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, body)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := t.deliveries.transport.RoundTrip(r) // follows no redirect
	switch {
	case err != nil && ctx.Err() != nil:
		return 0, fmt.Errorf("no answer within %s", logoutDeadline)
	case err != nil:
		return 0, err
	}
	_, _ = io.CopyN(io.Discard, res.Body, maxBody)
	return res.StatusCode, res.Body.Close()
}

// journalDelivery adds the delivery to the journal, without the URL's query.
func (t *Tenant) journalDelivery(token logoutToken, status int, reason string) {
	target, _, _ := strings.Cut(token.url, "?")
	t.journal.add(&Entry{
		ID: t.requestID(), Time: t.clock.Now(), Method: http.MethodPost, Path: clip(target), Endpoint: "backchannel_logout",
		ClientID: token.client.ClientID, Status: status, Reason: reason, Parent: token.parent,
	})
}

// uuid returns a random UUID, the jti of a logout token.
func (t *Tenant) uuid() string {
	b := make([]byte, 16)
	if _, err := t.random.Read(b); err != nil {
		panic("mock: no randomness: " + err.Error())
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
