package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/tokend/pkg/tokend"
)

// flagError says of a duration that cannot be read how it is written.
func flagError(_ *cobra.Command, err error) error {
	var invalid interface {
		error
		GetValue() string // of pflag.InvalidValueError
	}
	if !errors.As(err, &invalid) || !strings.Contains(err.Error(), " time: ") {
		return err
	}
	return hintf(exitUsage, fmt.Sprintf("a number with its unit, such as %s", withUnit(invalid.GetValue())), "%w", err)
}

// withUnit is the number in text as seconds, or an example.
func withUnit(text string) string {
	if n, err := strconv.ParseFloat(text, 64); err != nil || n < 0 {
		return "30s"
	}
	return text + "s"
}

// shortOf says how long a token is valid that was to be valid for wanted.
func shortOf(t *tokend.Token, wanted time.Duration) string {
	has := time.Duration(t.ExpiresIn) * time.Second
	a, b := span(has), span(wanted)
	if a == b { // but for less than a minute
		a, b = has.String(), wanted.String()
	}
	return "valid for " + a + ", not for " + b
}

// span is a duration for people: from an hour on to the minute.
func span(d time.Duration) string {
	if d < time.Hour {
		return d.Round(time.Second).String()
	}
	text := strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
