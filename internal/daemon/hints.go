package daemon

import (
	"cmp"
	"net/http"
	"strings"

	"example.com/tokend/pkg/flow"
)

// loginAgain ends the hints of package flow for which a login is one way out.
const loginAgain = "log in again"

// advise completes the hint for a client: how to log in, or which command shows more.
// Callers print it unchanged.
func (p *problem) advise() {
	doctor := "tokend doctor " + p.Client
	switch {
	case p.Code == string(flow.ClassLoginRequired):
		p.Hint = p.loginHint()
	case p.Code == string(flow.ClassClientRejected):
		p.Hint = cmp.Or(p.Hint, "compare client_id, client_secret and token_auth with the application") + "; " + doctor + " --probe-secret tries the secret"
	case strings.HasSuffix(p.Hint, loginAgain):
		p.Hint += ": " + loginCommand(p.Client, p.method)
	case p.Hint != "":
	case p.Status == http.StatusBadGateway:
		p.Hint = doctor + " shows what the provider answers"
	case p.Status == http.StatusServiceUnavailable:
		p.Hint = "try again; " + doctor + " shows more"
	}
}

// loginHint returns how to log the client in.
func (p *problem) loginHint() string {
	if p.UserCode != "" {
		return "confirm the code " + p.UserCode + " at " + p.VerificationURIComplete
	}
	if p.Remedy == string(flow.RemedySetting) {
		return p.Hint
	}
	login := p.Login
	if p.Remedy == string(flow.RemedyBrowser) {
		login = "browser"
	}
	hint := loginCommand(p.Client, login)
	if p.Hint != "" {
		hint = p.Hint + ": " + hint
	}
	if login == "browser" && p.AuthorizeURL != "" {
		hint += ", or open " + p.AuthorizeURL
	}
	return hint
}

// loginCommand returns the command that logs a client in.
func loginCommand(name, login string) string {
	switch login {
	case "browser":
		return "tokend login " + name + " --browser or --paste"
	case "paste":
		return "tokend login " + name + " --paste"
	}
	return "tokend login " + name
}
