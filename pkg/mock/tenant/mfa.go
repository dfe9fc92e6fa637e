package tenant

import (
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// AuthenticationMethod is a second factor of a user, in the schema of the Management
// API, plus the secrets that the user has.
type AuthenticationMethod struct {
	ID           string `json:"id,omitempty"` // "totp|dev_…"; "": derived
	Type         string `json:"type"`         // totp, push, phone, email, recovery-code
	TOTPSecret   string `json:"totp_secret,omitempty"`
	PhoneNumber  string `json:"phone_number,omitempty"` // "": the user's
	Email        string `json:"email,omitempty"`        // "": the user's
	RecoveryCode string `json:"recovery_code,omitempty"`
}

// Challenge is the challenge_type of the method at /mfa/challenge; "" for a recovery code.
func (m *AuthenticationMethod) Challenge() string {
	switch m.Type {
	case "totp":
		return "otp"
	case "push", "phone", "email":
		return "oob"
	}
	return ""
}

// Key returns the decoded secret of a totp method.
func (m *AuthenticationMethod) Key() ([]byte, error) {
	return base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(strings.TrimRight(m.TOTPSecret, "=")))
}

// completeMethods fills in ids and checks the methods of a user.
func (u *User) completeMethods() error {
	of := fmt.Sprintf("user %q", u.Login())
	var errs []error
	methods := make([]AuthenticationMethod, 0, len(u.AuthenticationMethods))
	for i, m := range u.AuthenticationMethods {
		errs = append(errs, m.check(of), u.checkAddress(m, of))
		if m.ID == "" {
			prefix := m.Type
			if prefix == "phone" {
				prefix = "sms"
			}
			m.ID = prefix + "|dev_" + derivedID(fmt.Sprint(u.Login(), i, m.Type), 16)
		}
		if slices.ContainsFunc(methods, func(other AuthenticationMethod) bool { return other.ID == m.ID }) {
			errs = append(errs, fieldError("authentication_methods", "the id %q of %s is used twice", m.ID, of))
		}
		methods = append(methods, m)
	}
	if len(methods) > 0 {
		u.AuthenticationMethods = methods
	}
	return errors.Join(errs...)
}

func (m *AuthenticationMethod) check(of string) error {
	const field = "authentication_methods"
	key, err := m.Key()
	switch {
	case m.Type == "":
		return fieldError(field, "a method of %s has no type", of)
	case m.Type == "totp" && (err != nil || len(key) == 0):
		return fieldError(field, "totp_secret of %s is not Base32", of)
	case m.Type == "recovery-code" && m.RecoveryCode == "":
		return fieldError(field, "a recovery-code of %s has no recovery_code", of)
	}
	return oneOf(field, m.Type, of, []string{"totp", "push", "phone", "email", "recovery-code"})
}

// checkAddress returns an error for a method whose codes have no address.
func (u *User) checkAddress(m AuthenticationMethod, of string) error {
	switch {
	case m.Type == "phone" && m.PhoneNumber == "" && u.PhoneNumber == "":
		return fieldError("authentication_methods", "a phone of %s has no phone_number", of)
	case m.Type == "email" && m.Email == "" && u.Email == "":
		return fieldError("authentication_methods", "an email of %s has no email", of)
	}
	return nil
}

// withoutSecrets returns a copy of the methods to show.
func withoutSecrets(methods []AuthenticationMethod) []AuthenticationMethod {
	if methods == nil {
		return nil
	}
	out := make([]AuthenticationMethod, 0, len(methods))
	for _, m := range methods {
		m.TOTPSecret, m.RecoveryCode = "", ""
		out = append(out, m)
	}
	return out
}

// Shown returns a copy of the user without secrets.
func (u *User) Shown() User {
	out := *u
	out.Password = ""
	out.AuthenticationMethods = withoutSecrets(u.AuthenticationMethods)
	return out
}
