//go:build !otel

package trace

import (
	"context"
	"slices"
	"strings"
)

// Start returns no tracer: this program has no SDK. If variables ask for traces, the log
// says so.
func Start(ctx context.Context, c Config) (*Tracer, error) {
	if set := variables(c.Environ()); len(set) > 0 && !off(set) {
		c.Log.WarnContext(ctx, "this build has no tracing", "ignored", names(set),
			"hint", "build tokend with the tag otel (make build TAGS=otel), or unset the variables")
	}
	return nil, nil
}

// names returns the sorted names of variables. Their values can be secrets.
func names(set map[string]string) string {
	var list []string
	for name := range set {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}
