package format

import (
	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/tokend"
)

// LoginHint says how to log the client in, and whether the service retries by itself.
func LoginHint(c *tokend.Status) string {
	var why string
	login := c.Login
	if c.Failure != nil {
		if why = c.Failure.Hint; c.Failure.Remedy == tokend.RemedySetting {
			return why
		}
		if c.Failure.Remedy == tokend.RemedyBrowser {
			login = "browser"
		}
	}
	command := hint.LogIn(why, LoginCommand(c.Client, login))
	if login == "browser" && c.AuthorizeURL != "" {
		command += ", or open " + c.AuthorizeURL
	}
	if c.Login == "headless" && !c.NextRefresh.IsZero() {
		command += "; the service retries at " + expiry(c.NextRefresh)
	}
	return command
}

// FailureHint says what to do about the client's failure, "" if nothing is known.
func FailureHint(c *tokend.Status) string {
	switch {
	case c.Failure == nil:
		return ""
	case c.Failure.Class == tokend.CodeLoginRequired:
		return LoginHint(c)
	}
	return c.Failure.Hint
}

// LoginCommand logs in a client that is configured with login; "" needs no person.
func LoginCommand(name, login string) string {
	switch login {
	case "browser":
		return "tokend login " + name + " --browser or --paste"
	case "paste":
		return "tokend login " + name + " --paste"
	}
	return "tokend login " + name
}
