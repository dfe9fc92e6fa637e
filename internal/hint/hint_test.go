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
