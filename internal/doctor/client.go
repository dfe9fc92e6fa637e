package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/tokend"
)

// soon is how long before the end of a grant a warning begins.
const soon = 3 * 24 * time.Hour

const (
	checkState       = "state"
	checkRedirectURI = "redirect_uri"
)

// checkClient makes the checks of one client: its settings, its state at the service,
// and what its provider answers.
func (x *examination) checkClient(ctx context.Context, c Client) []flow.Finding {
	client, err := flow.New(c.Config)
	if err != nil {
		return skipped("settings", "its configuration is wrong: see configuration")
	}
	defer func() { _ = client.Close() }() // it has no error
	found := slices.Concat(x.checkGrantType(c), x.checkRedirect(c), x.checkScopes(c), x.checkAudience(c), x.checkState(c), x.checkFiles(c), x.checkGrantEnd(c), x.checkOverlap(c), x.checkWindows(c))
	if x.Offline {
		return append(found, skipped("provider", "not asked: --offline")...)
	}
	found = append(found, client.Check(ctx)...)
	switch {
	case !x.ProbeSecret:
	case x.wrong("clients." + c.Name):
		found = append(found, skipped("secret", "its configuration is wrong: see configuration")...)
	default:
		found = append(found, client.CheckSecret(ctx))
	}
	return found
}

// checkRedirect checks that the browser comes back to tokend after a login.
func (x *examination) checkRedirect(c Client) []flow.Finding {
	const check = checkRedirectURI
	if _, code := c.Source.(flow.AuthorizationCode); !code {
		return nil
	}
	if c.Login != "browser" {
		return skipped(check, "with login: "+c.Login+" nothing comes back to tokend")
	}
	u, err := url.Parse(c.RedirectURL)
	l := x.Settings.Listen
	if err != nil || !l.Off && l.Host == "" {
		return skipped(check, "see settings")
	}
	port := cmp.Or(u.Port(), "80")
	advice := fmt.Sprintf("set redirect_uri to http://localhost:%d/callback and add that to the application's Allowed Callback URLs", l.Port)
	switch {
	case l.Off:
		return problem(check, flow.ClassConfig, "TOKEND_LISTEN is off: no browser can come back to "+c.RedirectURL, "set TOKEND_LISTEN, or log in with tokend login --paste and login: paste")
	case l.Port == 0:
		return skipped(check, "TOKEND_LISTEN has port 0: it is chosen at the start")
	case u.Scheme != "http" || !reaches(u.Hostname(), l.Host):
		return problem(check, flow.ClassConfig, c.RedirectURL+" is not tokend's listener "+l.Addr, advice)
	case port != strconv.Itoa(l.Port):
		return problem(check, flow.ClassConfig, fmt.Sprintf("%s leads to port %s, and tokend listens on %d", c.RedirectURL, port, l.Port),
			advice+", or TOKEND_LISTEN to "+net.JoinHostPort(l.Host, port))
	case u.Path != "/callback" && u.Path != "/callback/"+c.Name:
		return problem(check, flow.ClassConfig, fmt.Sprintf("%s leads to path %q, and the paths of tokend are /callback and /callback/%s", c.RedirectURL, u.Path, c.Name), advice)
	}
	return ok(check, c.RedirectURL+" comes back to tokend")
}

// reaches reports whether a browser that opens name reaches a listener on host; tokend
// listens on ::1 when it does on 127.0.0.1.
func reaches(name, host string) bool {
	return name == "localhost" || name == host || name == "::1" && host == "127.0.0.1"
}

// checkScopes checks for the scope that brings a refresh token.
func (x *examination) checkScopes(c Client) []flow.Finding {
	const check = "scopes"
	switch {
	case c.Login == "":
		return nil
	case c.Scopes == nil || slices.Contains(c.Scopes, "offline_access"):
		return ok(check, "offline_access is among them")
	case c.Login == "headless":
		return ok(check, "no offline_access: each new token is a new login, without a person")
	}
	return warning(check, "no offline_access among "+cmp.Or(strings.Join(c.Scopes, " "), "none")+": there is no refresh token, and a person must log in for each access token",
		"add offline_access to scopes, allow it at the API (Allow Offline Access), and log in again")
}

// checkAudience checks that the tokens are for an API. The API of a seed was chosen at
// its login.
// checkGrantType warns of the grant that RFC 9700 section 2.4 forbids.
func (x *examination) checkGrantType(c Client) []flow.Finding {
	const check = "grant type"
	if _, password := c.Source.(flow.Password); password {
		return warning(check, "grant: password gives tokend the user's password, which RFC 9700 forbids",
			"use authorization_code or device_code, where the provider has them: the password then stays with the user")
	}
	return ok(check, "the client has no password of a user")
}

func (x *examination) checkAudience(c Client) []flow.Finding {
	const check = "audience"
	if _, seed := c.Source.(flow.Seed); seed {
		return nil
	}
	if c.Audience == "" {
		return warning(check, "none: without one Auth0 issues an opaque token, which APIs refuse, unless the tenant has a default audience",
			"set audience to the Identifier of the API that the tokens are for")
	}
	return ok(check, c.Audience)
}

// checkFiles reports token files that the service could not write.
func (x *examination) checkFiles(c Client) []flow.Finding {
	const check = "files"
	var found []flow.Finding
	files := x.running.clients[c.Name].Files
	for _, f := range files {
		if f.Failure == "" {
			continue
		}
		found = append(found, problem(check, ClassService, f.Path+": "+oneLine(f.Failure), cmp.Or(oneLine(f.Hint),
			"fix this; tokend retries at least every minute"))...)
	}
	if found == nil && len(files) > 0 {
		return ok(check, fmt.Sprintf("%d as configured", len(files)))
	}
	return found
}

// checkState reports the state of the client at the service.
func (x *examination) checkState(c Client) []flow.Finding {
	const check = checkState
	st, exists := x.running.clients[c.Name]
	if !exists {
		return skipped(check, "the service does not list the client")
	}
	text, why, class := st.State, "", flow.Class("")
	if st.Failure != nil {
		why, class = st.Failure.Description, flow.Class(st.Failure.Class)
		if st.Failure.Class != st.State {
			text += ": " + st.Failure.Class
		}
		if why != "" {
			text += ": " + oneLine(why)
		}
	}
	switch flow.ClientState(st.State) {
	case flow.StateReady, flow.StateStarting:
		return ok(check, text)
	case flow.StateDegraded:
		hint := "the token is served until it expires; the other lines of this client may say why there is no new one"
		if x.remote != "" { // no other line asks the provider
			hint = "the token is served until it expires; " + cmp.Or(x.FailureHint(&st), "the service retries")
		}
		if strings.Contains(why, "may or may not have reached") {
			hint = "to retry now: " + x.loginHint(c)
		}
		found := warning(check, text, hint)
		found[0].Class = class
		return found
	case flow.StateLoginRequired:
		st.Login = cmp.Or(st.Login, c.Login)
		return problem(check, flow.ClassLoginRequired, text, x.LoginHint(&st))
	case flow.StateClientRejected:
		return problem(check, flow.ClassClientRejected, text, "compare client_id, client_secret and token_auth with the application; the service retries, and at once after tokend refresh "+c.Name+"; "+x.probeHint(c.Name))
	case flow.StateRestored:
		return problem(check, flow.ClassRestored, "an older copy of the store was put back, or the grant was exported: nothing is sent, because its refresh token may be spent",
			"tokend login "+c.Name+"; or tokend resume "+c.Name+", if the token was not used since, and no other store uses it")
	case flow.StateUnavailable:
		return x.unavailable(&st, check, text)
	}
	return warning(check, "state "+text+" is unknown here", "use the command line of the service's version")
}

// unavailable tells what passes by itself from what a person must fix.
func (x *examination) unavailable(c *tokend.Status, check, text string) []flow.Finding {
	if c.Failure == nil || temporary(flow.Class(c.Failure.Class)) {
		hint := "it recovers by itself when the provider and the store work again"
		if own := x.FailureHint(c); x.remote != "" && own != "" { // no other line asks the provider
			hint += "; " + own
		}
		return problem(check, flow.ClassUnreachable, text, hint)
	}
	return problem(check, flow.Class(c.Failure.Class), text, cmp.Or(c.Failure.Hint, "fix this; tokend keeps retrying"))
}

// probeHint says how to try a client's secret, which needs its settings.
func (x *examination) probeHint(name string) string {
	if x.remote != "" {
		return "tokend doctor " + name + " --probe-secret with the service's variables tries the secret"
	}
	return "--probe-secret tries the secret"
}

// checkGrantEnd reports a login that must soon be repeated.
func (x *examination) checkGrantEnd(c Client) []flow.Finding {
	const check = "grant"
	st, exists := x.running.clients[c.Name]
	if !exists || st.GrantEnds.IsZero() {
		return nil
	}
	left := st.GrantEnds.Sub(x.Now())
	if left > soon {
		return ok(check, "it ends at "+rfc3339(st.GrantEnds))
	}
	return warning(check, fmt.Sprintf("it ends at %s, in %s", rfc3339(st.GrantEnds), span(max(0, left))), "before that: "+x.loginHint(c))
}

// loginHint says how the client gets a new grant.
func (x *examination) loginHint(c Client) string {
	if _, seed := c.Source.(flow.Seed); seed {
		return "give a new refresh token (refresh_token_file or refresh_token of the client)"
	}
	return x.LoginHint(&tokend.Status{Client: c.Name, Login: c.Login})
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// span is a duration in hours and minutes, below one hour with seconds.
func span(d time.Duration) string {
	if d < time.Hour {
		return d.Round(time.Second).String()
	}
	d = d.Round(time.Minute)
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
}

// checkOverlap checks that the rotation overlap of the provider is known: without one
// a lost answer, or a second program with the same grant, costs the login.
func (x *examination) checkOverlap(c Client) []flow.Finding {
	const check = "rotation"
	rotation := c.Rotation
	if st := x.running.clients[c.Name]; rotation == flow.RotationUnknown {
		rotation = flow.Rotation(st.Rotation)
	}
	if _, own := c.Source.(flow.ClientCredentials); own {
		return nil
	}
	switch {
	case rotation == flow.RotationOff:
		return ok(check, "off")
	case c.Leeway > 0 && c.Leeway < flow.ShortLeeway:
		return warning(check, "an overlap of "+c.Leeway.String()+" is too short to recover a lost answer in time",
			"set Rotation Overlap Period of application "+c.ClientID+" in the tenant's dashboard to 30 seconds, and leeway: 30s here")
	case c.Leeway > 0:
		return ok(check, "an overlap of "+c.Leeway.String()+" is configured; the provider must have at least as much")
	case rotation == flow.RotationOn:
		return warning(check, "on, and leeway is 0: without an overlap a crash, a lost answer or a second program with this grant costs the login",
			"set Rotation Overlap Period of application "+c.ClientID+" in the tenant's dashboard to 30 seconds, and leeway: 30s here")
	}
	return skipped(check, "whether the provider rotates is known after the first refresh; if it does, set leeway to its overlap")
}

// checkWindows compares the refresh windows with how long tokens live.
func (x *examination) checkWindows(c Client) []flow.Finding {
	const check = "windows"
	st, exists := x.running.clients[c.Name]
	if !exists || st.Obtained.IsZero() {
		return nil
	}
	life := st.Expiry.Sub(st.Obtained).Round(time.Second)
	for _, w := range []struct {
		name string
		d    time.Duration
	}{{"refresh.mandatory", c.Mandatory}, {"refresh.advisory", c.Advisory}} {
		if w.d >= life && w.d > 0 {
			return warning(check, fmt.Sprintf("%s is %v, and access tokens live %v: a fraction of their life is used instead", w.name, w.d, life), "set "+w.name+" below "+life.String()+", or the API's token lifetime higher")
		}
	}
	return ok(check, "access tokens live "+life.String())
}
