package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"example.com/tokend/terraform/internal/service"
)

// explain is the one place that turns an error into a diagnostic: what is wrong, and what
// to do. Terraform does not wrap lines that begin with a space: those are to be copied.
func explain(ctx context.Context, s *service.Service, client string, err error) diag.Diagnostic {
	r := (*service.Refusal)(nil)
	switch {
	case errors.As(err, &r):
		return refused(ctx, s, client, r)
	case errors.Is(err, service.ErrForeign):
		return diag.NewErrorDiagnostic("Not tokend", fmt.Sprintf("At %s, %v.\n\nSet endpoint or TOKEND_ADDR to the address of tokend.", s.Where, err))
	default: // service.ErrUnreachable, or the run was interrupted
		return diag.NewErrorDiagnostic("tokend is not reachable", fmt.Sprintf("At %s, %v.\n\nStart it on the machine where Terraform runs:\n  tokend serve\n"+
			"or set endpoint or TOKEND_ADDR to its address.", s.Where, oneLine(err.Error())))
	}
}

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }

// refused is explain for tokend's own error answers.
func refused(ctx context.Context, s *service.Service, client string, r *service.Refusal) diag.Diagnostic {
	text := fmt.Sprintf("tokend says %s: %s", r.Code, r.Description)
	var hint string
	if r.Hint != "" {
		hint = "Hint: " + r.Hint + "."
	}
	switch {
	case r.Code == "unknown_client":
		return diag.NewAttributeErrorDiagnostic(path.Root("client"), "Unknown client",
			fmt.Sprintf("tokend at %s has no client %q.\n\n%s", s.Where, client, known(ctx, s)))
	case r.Code == "login_required":
		return diag.NewErrorDiagnostic("Login required", text+".\n\n"+loginWays(client, r, hint))
	case r.Code == "unauthorized":
		return diag.NewErrorDiagnostic("tokend refuses the key", text+".\n\n"+keyWays(s))
	case r.Code == "client_forbidden":
		return diag.NewAttributeErrorDiagnostic(path.Root("client"), "The key may not use this client",
			fmt.Sprintf("%s. The key is from %s.\n\nUse another key, or add %q to the clients of that key in tokend's configuration.", text, s.KeySource, client))
	case r.Code == "client_rejected" || r.Code == "invalid_configuration":
		return diag.NewErrorDiagnostic("The provider refuses the client", text+".\n\n"+
			or(hint, "Fix the client in tokend's configuration (tokend config check) or at the provider.")+" Retrying does not help.")
	case r.Status == http.StatusServiceUnavailable || r.Status >= http.StatusInternalServerError:
		return diag.NewErrorDiagnostic("No token at the moment", text+".\n\n"+or(hint, "Try again; for details:\n  tokend status"))
	default:
		return diag.NewErrorDiagnostic("tokend refuses the request", text+".\n\n"+or(hint, "To show the configured clients:\n  tokend status"))
	}
}

// known lists the existing clients; a misspelt name is the usual cause.
func known(ctx context.Context, s *service.Service) string {
	names, err := s.Names(ctx)
	if err != nil || len(names) == 0 {
		return "Add it to tokend's configuration, or correct the name. To list the clients:\n  tokend status"
	}
	return "Correct the name, or add it to tokend's configuration. The clients are: " + strings.Join(names, ", ") + "."
}

// loginWays says how to log the client in.
func loginWays(client string, r *service.Refusal, hint string) string {
	const again = "\n\nThen run Terraform again."
	switch {
	case r.Remedy == "setting":
		return hint + again
	case r.Remedy == "browser": // the configured login met a page for a person
	case r.Login == "headless", r.Login == "device", r.Login == "":
		return "Log it in on the machine where tokend runs:\n  tokend login " + client + again
	case r.Login == "paste":
		return "A person must log in, once, on the machine where tokend runs:\n  tokend login " + client + " --paste" + again
	}
	text := "A person must log in, once, on the machine where tokend runs:\n  tokend login " + client + " --browser\n" +
		"or, without a browser there:\n  tokend login " + client + " --paste"
	if r.AuthorizeURL != "" {
		text += "\nor by opening this address in a browser there:\n  " + r.AuthorizeURL
	}
	return text + again
}

func keyWays(s *service.Service) string {
	const set = "set api_key, TOKEND_API_KEY or TOKEND_API_KEY_FILE to the key of that tokend, " +
		"or use its socket (endpoint = \"unix:/path\"), which needs none"
	if s.KeySource == "" {
		return "No key was found: none is set, and tokend's key file is not at its default path. Hint: " + set + "."
	}
	return "The key came from " + s.KeySource + ". Hint: " + set + "."
}

// tooShort says why no token satisfies min_validity: the provider's tokens do not live so
// long, or tokend cannot get a new one now.
func tooShort(ctx context.Context, s *service.Service, want service.Request, got *service.Token) diag.Diagnostic {
	at := path.Root("min_validity")
	left := time.Duration(got.ExpiresIn) * time.Second
	state, err := s.Client(ctx, want.Client)
	if err == nil && state.Failure != nil {
		return diag.NewAttributeErrorDiagnostic(at, "The token expires too soon", fmt.Sprintf(
			"The token of client %q is valid for %s, min_validity is %s, and tokend could not get a new one: %s (%s).\n\n"+
				"Try again when that is fixed; for details:\n  tokend status", want.Client, left, want.MinValidity, state.Failure.Class, or(state.Failure.Description, "no reason given")))
	}
	life, about := left, "about "
	if err == nil && !state.Obtained.IsZero() && state.Expiry.Truncate(time.Second).Equal(got.ExpiresAt) {
		life, about = state.Expiry.Sub(state.Obtained).Round(time.Second), ""
	}
	return diag.NewAttributeErrorDiagnostic(at, "min_validity is more than the provider's maximum", fmt.Sprintf(
		"min_validity is %s, but the tokens that the provider issues to client %q live for %s%s, and the freshest one is valid for %s.\n\n"+
			"Set min_validity to at most %s, nine tenths of a token's life (tokend keeps a token that has more than that left), "+
			"have the provider issue tokens that live longer (Auth0: token_lifetime of the API), "+
			"or send the run's requests through tokend's proxy, which adds a fresh token to each: see docs/terraform.md.",
		want.MinValidity, want.Client, about, life, left, (life*9/10).Truncate(time.Second)))
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
