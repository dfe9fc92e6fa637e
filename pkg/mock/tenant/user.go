package tenant

import (
	"strings"
	"time"
)

// Complete fills in what the Management API would and checks the user.
func (u *User) Complete(defaultDirectory string) error {
	if u.Email == "" && u.Username == "" && u.UserID == "" {
		return fieldError("email", "a user needs an email, a username or a user_id")
	}
	switch {
	case u.UserID == "":
		u.UserID = "auth0|" + derivedID(u.Email+u.Username, 24)
	case !strings.Contains(u.UserID, "|"):
		u.UserID = "auth0|" + u.UserID // as the Management API does
	}
	if u.Connection == "" {
		u.Connection = defaultDirectory
	}
	if u.UpdatedAt == "" {
		u.UpdatedAt = "2026-01-01T00:00:00.000Z"
	}
	for _, at := range []struct{ field, value string }{{"created_at", u.CreatedAt}, {"updated_at", u.UpdatedAt}} {
		if _, err := time.Parse(time.RFC3339, at.value); at.value != "" && err != nil {
			return fieldError(at.field, "%.200q of user %q is not an RFC 3339 time like 2026-01-31T12:00:00Z", at.value, u.Login())
		}
	}
	return u.completeMethods()
}

// Login returns the first of user_id, e-mail address and username that is set.
func (u *User) Login() string {
	for _, s := range []string{u.UserID, u.Email, u.Username} {
		if s != "" {
			return s
		}
	}
	return ""
}

// Logins returns e-mail address and username in lower case; "" if one is not set.
func (u *User) Logins() [2]string {
	return [2]string{strings.ToLower(u.Email), strings.ToLower(u.Username)}
}

// NicknameClaim returns the claim nickname: Nickname, or the local part of the e-mail address.
func (u *User) NicknameClaim() string {
	if u.Nickname != "" {
		return u.Nickname
	}
	name, _, _ := strings.Cut(u.Email, "@")
	return name
}

// NameClaim returns the claim name: Name, or the e-mail address.
func (u *User) NameClaim() string {
	if u.Name != "" {
		return u.Name
	}
	return u.Email
}

// PictureClaim returns the claim picture: Picture, or a Gravatar address.
func (u *User) PictureClaim() string {
	if u.Picture != "" {
		return u.Picture
	}
	return "https://s.gravatar.com/avatar/" + derivedID(u.Email, 32) + "?s=480&r=pg&d=mm"
}
