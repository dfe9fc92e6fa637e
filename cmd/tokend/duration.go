package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
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
