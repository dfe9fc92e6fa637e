package provider

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// check makes a validator from a function whose error continues "It …". A value that is
// unknown during validation is checked in plan or apply.
func check(wants string, f func(string) error) validator.String { return checked{wants, f} }

type checked struct {
	wants string
	f     func(string) error
}

func (c checked) Description(context.Context) string { return "value must be " + c.wants }

func (c checked) MarkdownDescription(ctx context.Context) string { return c.Description(ctx) }

func (c checked) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if err := c.f(req.ConfigValue.ValueString()); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, req.Path.String()+" is not "+c.wants, "It "+err.Error()+".")
	}
}

// clientPattern matches tokend's names of clients.
var clientPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

func checkClient(v string) error {
	if !clientPattern.MatchString(v) {
		return errors.New("is not a name of a client: a-z, 0-9, - and _, at most 63. Hint: tokend status lists the clients")
	}
	return nil
}

func checkDuration(v string) error {
	d, err := time.ParseDuration(v)
	switch {
	case err != nil:
		return errors.New(`is not a duration such as "30m" or "1h30m"`)
	case d < 0:
		return errors.New("is negative")
	}
	return nil
}

// checkScope accepts one scope-token (RFC 6749 section 3.3).
func checkScope(v string) error {
	if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		return errors.New("contains a space or another character that a scope cannot have. Hint: one scope per element")
	}
	return nil
}

// someScopes refuses an empty set, which could mean all scopes or none, and checks each
// scope.
type someScopes struct{}

func (someScopes) Description(context.Context) string { return "at least one scope, one per element" }

func (s someScopes) MarkdownDescription(ctx context.Context) string { return s.Description(ctx) }

func (someScopes) ValidateSet(ctx context.Context, req validator.SetRequest, resp *validator.SetResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if len(req.ConfigValue.Elements()) == 0 {
		resp.Diagnostics.AddAttributeError(req.Path, req.Path.String()+" is empty", "Use null for the client's own scopes.")
	}
	for _, e := range req.ConfigValue.Elements() {
		scope, ok := e.(types.String)
		if !ok {
			continue
		}
		r := validator.StringRequest{Path: req.Path, ConfigValue: scope}
		var out validator.StringResponse
		check("made of valid scopes", checkScope).ValidateString(ctx, r, &out)
		resp.Diagnostics.Append(out.Diagnostics...)
	}
}
