package daemon

import (
	"cmp"
	"net/http"
	"strings"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// advise completes the hint for a client: how to log in, or which command shows more.
// Callers print it unchanged.
func (p *problem) advise() {
	doctor := "tokend doctor " + p.Client
	switch {
	case p.Code == string(flow.ClassLoginRequired):
		p.Hint = p.loginHint()
	case p.Code == string(flow.ClassClientRejected):
		p.Hint = cmp.Or(p.Hint, "compare client_id, client_secret and token_auth with the application") + "; " + doctor + " --probe-secret tries the secret"
	case p.Code == string(flow.ClassRestored) && p.Hint != "":
		p.Hint += "; the commands: " + loginCommand(p.Client, p.method) + ", tokend resume " + p.Client
	case p.Hint != "":
		p.Hint = withLogin(p.Hint, p.Client, p.method)
	case p.Status == http.StatusBadGateway:
		p.Hint = doctor + " shows what the provider answers"
	case p.Status == http.StatusServiceUnavailable:
		p.Hint = "try again; " + doctor + " shows more"
	}
}

// withLogin adds the command to a hint for which a login is a way out, so that callers
// need not know its words.
func withLogin(text, client, login string) string {
	if strings.HasSuffix(text, flow.LoginAgain) {
		return hint.LogIn(text, loginCommand(client, login))
	}
	return text
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
	text := hint.LogIn(p.Hint, loginCommand(p.Client, login))
	if login == "browser" && p.AuthorizeURL != "" {
		text += ", or open " + p.AuthorizeURL
	}
	return text
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
