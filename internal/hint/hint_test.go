package hint

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestOf(t *testing.T) {
	err := Errorf("try file.yaml", "cannot read %s: %w", "file", io.EOF)
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"none":    {io.EOF, ""},
		"nil":     {nil, ""},
		"direct":  {err, "try file.yaml"},
		"wrapped": {fmt.Errorf("start: %w", err), "try file.yaml"},
		"joined":  {errors.Join(io.EOF, err), "try file.yaml"},
		"outer":   {Errorf("outer", "start: %w", err), "outer"},
	} {
		if got := Of(tt.err); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	if err.Error() != "cannot read file: EOF" || !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
}

func TestLogIn(t *testing.T) {
	for hint, want := range map[string]string{
		"":                      "tokend login demo",
		"log in again":          "log in again: tokend login demo",
		"begin a new login":     "begin a new login: tokend login demo",
		"log in with a browser": "log in with a browser: tokend login demo",
		"log in again; not retried until it changes": "log in again; not retried until it changes; to log in: tokend login demo",
		"wait for it, or log in":                     "wait for it, or log in: tokend login demo",
		"check audience and scopes":                  "check audience and scopes; to log in: tokend login demo",
	} {
		if got := LogIn(hint, "tokend login demo"); got != want {
			t.Errorf("%q: %q", hint, got)
		}
	}
}
