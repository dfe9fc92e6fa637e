package tenant

import (
	"errors"
	"fmt"
)

// DatabaseOptions are settings of a database.
type DatabaseOptions struct {
	RequiresUsername bool               `json:"requires_username,omitempty"`
	DisableSignup    bool               `json:"disable_signup,omitempty"`
	PasswordPolicy   string             `json:"passwordPolicy,omitempty"` // none, low, fair, good, excellent; "": at least 8 characters
	Complexity       PasswordComplexity `json:"password_complexity_options,omitzero"`
}

// PasswordComplexity changes the length that a password policy requires.
type PasswordComplexity struct {
	MinLength int `json:"min_length,omitempty"` // 0: that of the policy
}

func (o DatabaseOptions) check(name string) error {
	of := fmt.Sprintf("database %q", name)
	errs := []error{oneOf("options.passwordPolicy", o.PasswordPolicy, of, []string{"none", "low", "fair", "good", "excellent"})}
	if n := o.Complexity.MinLength; n < 0 || n > 128 {
		errs = append(errs, fieldError("options.password_complexity_options.min_length", "%d of %s is not between 1 and 128", n, of))
	}
	return errors.Join(errs...)
}

// SignupDisabled reports whether users cannot sign up themselves.
func (d *Database) SignupDisabled() bool { return d.DisableSignup || d.Options.DisableSignup }
