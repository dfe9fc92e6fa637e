package mock

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

const (
	deviceLifetime = 900 * time.Second
	userCodeChars  = "BCDFGHJKLMNPQRSTVWXZ" // no vowels, so no words; Auth0's "base20"
)

// device is one device authorization (RFC 8628).
type device struct {
	userCode string
	client   string // client_id
	scopes   []string
	audience string
	expires  time.Time
	polled   time.Time
	state    string // "", approved, denied, expired
	grant    grant
}

// deviceCode is POST /oauth/device/code
// (https://auth0.com/docs/get-started/authentication-and-authorization-flow/device-authorization-flow).
func (t *Tenant) deviceCode(c *call) {
	r, bad := c.tokenRequest()
	if bad != nil {
		t.refuseToken(c, bad)
		return
	}
	t.mu.Lock()
	body, bad := t.newDevice(c, r)
	t.mu.Unlock()
	if bad != nil {
		t.refuseToken(c, bad)
		return
	}
	write(c.w, http.StatusOK, jsonType, body.bytes())
}

func (t *Tenant) newDevice(c *call, r tokenRequest) (object, *oauthError) {
	client := t.st.clients[r.Get("client_id")]
	if client == nil {
		return nil, unauthorized("unknown client")
	}
	c.entry.ClientID = client.ClientID
	if !slices.Contains(client.GrantTypes, tenant.GrantDeviceCode) {
		return nil, notAllowed(tenant.GrantDeviceCode)
	}
	req := &authRequest{client: client, issuer: c.issuer}
	if bad := t.checkAudience(req, r.parameters); bad != nil {
		return nil, bad
	}
	d := &device{client: client.ClientID, scopes: req.scopes, audience: req.audience, expires: c.now.Add(deviceLifetime)}
	b := make([]byte, 8)
	if _, err := t.random.Read(b); err != nil {
		return nil, refuse("server_error", "no randomness")
	}
	for i := range b {
		b[i] = userCodeChars[int(b[i])%len(userCodeChars)]
	}
	d.userCode = string(b[:4]) + "-" + string(b[4:])
	value := t.randomString(32)
	makeRoom(&t.st.room, t.st.devices, func(old *device) bool { return c.now.Sub(old.expires) > deviceLifetime },
		func(old *device) time.Time { return old.expires })
	t.st.devices[hash(value)] = d
	return object{
		{"device_code", value},
		{"user_code", d.userCode},
		{"verification_uri", c.pageURL("/activate")},
		{"verification_uri_complete", c.pageURL("/activate?user_code=" + d.userCode)},
		{"expires_in", int(deviceLifetime.Seconds())},
		{"interval", int(t.cfg.DeviceInterval.Seconds())},
	}, nil
}

// pollDevice is the device_code grant of /oauth/token.
func (t *Tenant) pollDevice(c *call, client *tenant.Client, r tokenRequest) (func(), *oauthError) {
	value := r.Get("device_code")
	if value == "" {
		return nil, missing("device_code")
	}
	d := t.st.devices[hash(value)]
	if d == nil || d.client != client.ClientID || d.state == "expired" {
		return nil, refuse("invalid_grant", "Invalid or expired device code.")
	}
	if !c.now.Before(d.expires) {
		d.state = "expired" // expired_token is sent once
		return nil, refuse("expired_token", "The device_code has expired").
			withHint("it expired %s ago on the tenant's clock", span(c.now.Sub(d.expires)))
	}
	early := !d.polled.IsZero() && c.now.Sub(d.polled) < t.cfg.DeviceInterval
	d.polled = c.now
	switch {
	case early && d.state == "":
		return nil, refuse("slow_down", "You are polling faster than the specified interval of "+
			plural(int(t.cfg.DeviceInterval.Seconds()))+".")
	case d.state == "":
		return nil, refuse("authorization_pending", "User has yet to authorize device code.").
			withHint("the user confirms the code at %s", c.url("/activate"))
	case d.state == "denied":
		return nil, refuse("access_denied", "User cancelled the confirmation prompt.")
	}
	g := d.grant
	if bad := t.constrain(c.issuer, client, &g, r.proof); bad != nil {
		return nil, bad
	}
	delete(t.st.devices, hash(value))
	c.entry.Parent = g.entry
	return t.tokensFor(c, client, g), nil
}

// tokensFor returns the function that writes the tokens of a grant, with a refresh
// token if offline_access was granted.
func (t *Tenant) tokensFor(c *call, client *tenant.Client, g grant) func() {
	o := t.prepare(c, g)
	refresh := ""
	if g.has("offline_access") && slices.Contains(client.GrantTypes, tenant.GrantRefreshToken) {
		g.nonce = ""
		refresh, _ = t.newFamily(c, client, g)
	}
	return func() {
		t.respond(c, o, func(access, id string) object {
			return o.tokenBody(access, refresh, id, id != "" || g.gty == tenant.GrantPassword)
		})
	}
}

// activate is /activate, where the user confirms the code shown on the device.
func (t *Tenant) activate(c *call) {
	form, bad := c.pageForm()
	if bad != nil {
		t.errorPage(c, nil, bad)
		return
	}
	t.mu.Lock()
	userCode := normalUserCode(form.Get("user_code"))
	d := t.deviceByUserCode(userCode, c.now)
	view := map[string]any{"Code": userCode, "Confirm": d != nil, "Error": "", "Client": ""}
	var client *tenant.Client
	if d != nil {
		client = t.st.clients[d.client]
		view["Client"] = client.Name
		c.entry.ClientID = client.ClientID
	}
	next := func() { render(c, http.StatusOK, "device.html", view) }
	switch {
	case d == nil && userCode != "":
		view["Error"] = "The code was not recognized or has expired."
		next = func() { render(c, http.StatusBadRequest, "device.html", view) }
	case d != nil && c.r.Method == http.MethodPost && form.Get("action") == "cancel":
		d.state = "denied"
		next = func() { donePage(c, "Device not connected", "You cancelled the request. You can close this page.") }
	case d != nil && c.r.Method == http.MethodPost:
		tx := &transaction{req: &authRequest{
			client: client, issuer: c.issuer, scopes: d.scopes, audience: d.audience, maxAge: -1, device: d,
		}, created: c.now, entry: c.id}
		next = t.advance(c, tx, t.browser(c))
	}
	t.mu.Unlock()
	next()
}

// approveDevice ends a transaction that a device started.
func (t *Tenant) approveDevice(c *call, d *device, g grant) func() {
	d.state, d.grant = "approved", g
	return func() { donePage(c, "Congratulations, you're all set!", "Your device is now connected.") }
}

func donePage(c *call, title, text string) {
	render(c, http.StatusOK, "done.html", map[string]any{"Title": title, "Text": text})
}

func (t *Tenant) deviceByUserCode(userCode string, now time.Time) *device {
	for _, d := range t.st.devices {
		if d.userCode == userCode && d.state == "" && now.Before(d.expires) && t.st.clients[d.client] != nil {
			return d
		}
	}
	return nil
}

// normalUserCode accepts lower case and a missing dash.
func normalUserCode(s string) string {
	s = strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(s))
	if len(s) != 8 {
		return s
	}
	return s[:4] + "-" + s[4:]
}

func plural(n int) string {
	if n == 1 {
		return "1 second"
	}
	return strconv.Itoa(n) + " seconds"
}
