package main

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

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/format"
	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/tokend"
)

// soon is how early the end of a grant is told.
const soon = 3 * 24 * time.Hour

// checkClient makes the checks of one client: what is configured, what runs,
// and how its tenant meets it.
func (d *doctor) checkClient(ctx context.Context, c config.Client) []flow.Finding {
	kept, err := flow.New(c.Config)
	if err != nil {
		return skip("settings", "see above: its configuration is wrong")
	}
	found := slices.Concat(d.checkRedirect(c), d.checkScopes(c), d.checkAudience(c), d.checkState(c), d.checkFiles(c), d.checkGrantEnd(c), d.checkOverlap(c), d.checkWindows(c))
	if d.offline {
		return append(found, skip("tenant", "not asked: --offline")...)
	}
	found = append(found, kept.Check(ctx)...)
	switch {
	case !d.probeSecret:
	case d.faults.About("clients." + c.Name):
		found = append(found, skip("secret", "see above: its configuration is wrong")...)
	default:
		found = append(found, kept.CheckSecret(ctx))
	}
	return found
}

// checkRedirect wants the browser's way back to end at tokend.
func (d *doctor) checkRedirect(c config.Client) []flow.Finding {
	const check = "redirect_uri"
	if _, code := c.Source.(flow.AuthorizationCode); !code {
		return nil
	}
	if c.Login != "browser" {
		return skip(check, "with login: "+c.Login+" nothing comes back to tokend")
	}
	u, err := url.Parse(c.RedirectURL)
	host, port, lerr := config.Loopback(d.settings.Listen)
	if err != nil || d.settings.Listen != config.Off && lerr != nil {
		return skip(check, "see settings")
	}
	there := u.Port()
	if there == "" {
		there = "80"
	}
	wanted := config.RedirectTo(port)
	switch {
	case d.settings.Listen == config.Off:
		return bad(check, flow.ClassConfig, "TOKEND_LISTEN is off: no browser can come back to "+c.RedirectURL, "set TOKEND_LISTEN, or log in with tokend login --paste and login: paste")
	case port == 0:
		return skip(check, "TOKEND_LISTEN leaves the port to the start")
	case u.Scheme != "http" || !landsAt(u.Hostname(), host):
		return bad(check, flow.ClassConfig, c.RedirectURL+" is not tokend's listener "+d.settings.Listen, lands(wanted))
	case there != strconv.Itoa(port):
		return bad(check, flow.ClassConfig, fmt.Sprintf("%s leads to port %s, and tokend listens on %d", c.RedirectURL, there, port),
			lands(wanted)+", or TOKEND_LISTEN to "+net.JoinHostPort(host, there))
	case u.Path != "/callback":
		return bad(check, flow.ClassConfig, fmt.Sprintf("%s leads to path %q, and tokend takes browsers back at /callback", c.RedirectURL, u.Path), lands(wanted))
	}
	return good(check, c.RedirectURL+" comes back to tokend")
}

func lands(wanted string) string {
	return "set redirect_uri to " + wanted + " and add that to the application's Allowed Callback URLs"
}

// landsAt says whether a browser that goes to name meets a listener on host;
// with 127.0.0.1 comes ::1.
func landsAt(name, host string) bool {
	return name == "localhost" || name == host || name == "::1" && host == "127.0.0.1"
}

// checkScopes wants the scope that brings a refresh token.
func (d *doctor) checkScopes(c config.Client) []flow.Finding {
	const check = "scopes"
	switch {
	case c.Login == "": // no person logs in
		return nil
	case c.Scopes == nil || slices.Contains(c.Scopes, "offline_access"):
		return good(check, "offline_access is among them")
	case c.Login == "headless":
		return good(check, "no offline_access: each new token is a new login, without a person")
	}
	return warn(check, "no offline_access among "+cmp.Or(strings.Join(c.Scopes, " "), "none")+": there is no refresh token, and a person must log in for each access token",
		"add offline_access to scopes, allow it at the API (Allow Offline Access), and log in again")
}

// checkAudience wants an API that the tokens are for. A seed's was settled by who
// has logged in.
func (d *doctor) checkAudience(c config.Client) []flow.Finding {
	const check = "audience"
	if _, seed := c.Source.(flow.Seed); seed {
		return nil
	}
	if c.Audience == "" {
		return warn(check, "none: without one Auth0 issues an opaque token, which APIs refuse, unless the tenant has a default audience",
			"set audience to the Identifier of the API that the tokens are for")
	}
	return good(check, c.Audience)
}

// checkFiles tells of token files that are not as they should be.
func (d *doctor) checkFiles(c config.Client) []flow.Finding {
	const check = "files"
	var found []flow.Finding
	files := d.running.clients[c.Name].Files
	for _, f := range files {
		if f.Failure == "" {
			continue
		}
		found = append(found, bad(check, classNoService, f.Path+": "+oneLine(f.Failure), cmp.Or(oneLine(f.Hint),
			"fix this; tokend retries at least every minute"))...)
	}
	if found == nil && len(files) > 0 {
		return good(check, counted(len(files), "token file")+" as configured")
	}
	return found
}

// checkState tells what the service has to say of the client.
func (d *doctor) checkState(c config.Client) []flow.Finding {
	const check = "state"
	st, there := d.running.clients[c.Name]
	if !there {
		return skip(check, "the service does not tell")
	}
	text, why := st.State, ""
	if st.Failure != nil {
		why = st.Failure.Description
		if st.Failure.Class != st.State {
			text += ": " + st.Failure.Class
		}
		if why != "" {
			text += ": " + oneLine(why)
		}
	}
	switch flow.ClientState(st.State) {
	case flow.StateReady, flow.StateStarting:
		return good(check, text)
	case flow.StateDegraded:
		hint := "a token is served to its end; what follows here may say why no new one comes"
		if strings.Contains(why, "may or may not have reached") {
			hint = "to retry now: " + loginHintOf(c)
		}
		return warn(check, text, hint)
	case flow.StateLoginRequired:
		st.Login = cmp.Or(st.Login, c.Login)
		return bad(check, flow.ClassLoginRequired, text, format.LoginHint(&st))
	case flow.StateClientRejected:
		return bad(check, flow.ClassClientRejected, text, "compare client_id, client_secret and token_auth with the application; the service tries again by itself, and at once after tokend refresh "+c.Name+"; --probe-secret tries the secret")
	case flow.StateRestored:
		return bad(check, flow.ClassRestored, "an older copy of the store was put back: nothing is sent, because the refresh token may be a spent one",
			"tokend login "+c.Name+"; or tokend resume "+c.Name+", if the token was not used since that copy was made")
	case flow.StateUnavailable:
		return unavailable(&st, check, text)
	}
	return warn(check, "state "+text+" is unknown here", "use the command line of the service's version")
}

// unavailable tells what passes by itself from what somebody must mend.
func unavailable(c *tokend.Status, check, text string) []flow.Finding {
	if c.Failure == nil || codeOfClass(flow.Class(c.Failure.Class)) == exitTryAgain {
		return bad(check, flow.ClassUnreachable, text, "it recovers by itself when what fails is back")
	}
	return bad(check, flow.Class(c.Failure.Class), text, cmp.Or(c.Failure.Hint, "mend what it says; it is tried again meanwhile"))
}

// checkGrantEnd tells of a login that is to be repeated before long.
func (d *doctor) checkGrantEnd(c config.Client) []flow.Finding {
	const check = "grant"
	st, there := d.running.clients[c.Name]
	if !there || st.GrantEnds.IsZero() {
		return nil
	}
	left := st.GrantEnds.Sub(d.now())
	if left > soon {
		return good(check, "it ends at "+when(st.GrantEnds))
	}
	return warn(check, fmt.Sprintf("it ends at %s, in %s", when(st.GrantEnds), format.Span(max(0, left))), "before that: "+loginHintOf(c))
}

// loginHintOf is how the client gets a new grant.
func loginHintOf(s config.Client) string {
	if _, seed := s.Source.(flow.Seed); seed {
		return "give a new refresh token (refresh_token_file or refresh_token of the client)"
	}
	return format.LoginCommand(s.Name, s.Login)
}

// checkOverlap wants the tenant's rotation overlap to be known: without one a
// lost answer, or a second program with the same grant, costs the login.
func (d *doctor) checkOverlap(c config.Client) []flow.Finding {
	const check = "rotation"
	rotation := c.Rotation
	if st := d.running.clients[c.Name]; rotation == flow.RotationUnknown {
		rotation = flow.Rotation(st.Rotation)
	}
	if _, own := c.Source.(flow.ClientCredentials); own {
		return nil
	}
	switch {
	case rotation == flow.RotationOff:
		return good(check, "off")
	case c.Leeway > 0 && c.Leeway < flow.ShortLeeway:
		return warn(check, "an overlap of "+c.Leeway.String()+" is too short to recover a lost answer in time",
			"set Rotation Overlap Period of application "+c.ClientID+" in the tenant's dashboard to 30 seconds, and leeway: 30s here")
	case c.Leeway > 0:
		return good(check, "an overlap of "+c.Leeway.String()+" is counted on; the tenant must have as much")
	case rotation == flow.RotationOn:
		return warn(check, "on, and leeway is 0: without an overlap a crash, a lost answer or a second program with this grant costs the login",
			"set Rotation Overlap Period of application "+c.ClientID+" in the tenant's dashboard to 30 seconds, and leeway: 30s here")
	}
	return skip(check, "whether the tenant rotates is known after the first refresh; if it does, set leeway to its overlap")
}

// checkWindows compares the refresh windows with how long tokens live.
func (d *doctor) checkWindows(c config.Client) []flow.Finding {
	const check = "windows"
	st, there := d.running.clients[c.Name]
	if !there || st.Obtained.IsZero() {
		return nil
	}
	life := st.Expiry.Sub(st.Obtained).Round(time.Second)
	for _, w := range []struct {
		name string
		d    time.Duration
	}{{"refresh.mandatory", c.Mandatory}, {"refresh.advisory", c.Advisory}} {
		if w.d >= life && w.d > 0 {
			return warn(check, fmt.Sprintf("%s is %v, and access tokens live %v: a part of their life is taken instead", w.name, w.d, life), "set "+w.name+" below "+life.String()+", or the API's token lifetime higher")
		}
	}
	return good(check, "access tokens live "+life.String())
}
