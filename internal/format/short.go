package format

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"example.com/tokend/pkg/tokend"
)

// tooShort says why a token is valid for less than requested: the refresh failed, or
// the provider's tokens do not live longer.
func tooShort(ctx context.Context, s Source, t *tokend.Token, r Request) error {
	text := "the token is " + shortOf(t, r.MinValidity)
	c, err := s.Status(ctx, r.Client)
	if err != nil || c.Failure == nil {
		return errorf(Configuration, "ask for less, or raise the token lifetime of the API at the provider",
			"%s: the provider's tokens do not live longer", text)
	}
	return &Error{
		Kind: Provider, Class: c.Failure.Class, hint: cmp.Or(FailureHint(c), "try again"),
		err: fmt.Errorf("%s, and the refresh failed: %s: %s", text, c.Failure.Class, c.Failure.Description),
	}
}

// shortOf compares the validity of a token with the requested one.
func shortOf(t *tokend.Token, wanted time.Duration) string {
	has := time.Duration(t.ExpiresIn) * time.Second
	a, b := Span(has), Span(wanted)
	if a == b { // they differ by less than a minute
		a, b = has.String(), wanted.String()
	}
	return "valid for " + a + ", not for " + b
}

// Span formats a duration for people, without seconds from an hour on.
func Span(d time.Duration) string {
	if d < time.Hour {
		return d.Round(time.Second).String()
	}
	text := strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
