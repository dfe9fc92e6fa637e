// Package requestid gives requests an id, for the logs of everyone who takes part in
// answering them.
package requestid

import (
	"context"
	"log/slog"
	"strconv"
	"sync/atomic"

	"example.com/tokend/pkg/flow"
)

// Header has the id, in a request and in its answer. The form is that of http.Header.
const Header = "X-Request-Id"

// maxID bounds an id of a caller. A token is longer, so that none is taken for an id.
const maxID = 64

// Source makes ids. It is safe for concurrent use.
type Source struct {
	start string
	n     atomic.Uint64
}

// New returns a source whose ids begin with start, which distinguishes them from those
// of other processes.
func New(start string) *Source { return &Source{start: start + "-"} }

// Of returns the id of a request with these values of the header: the caller's, if it
// is harmless in a log and in a header, or a new one.
func (s *Source) Of(values []string) string {
	if len(values) == 1 && harmless(values[0]) {
		return values[0]
	}
	var digits [16]byte
	n := strconv.AppendUint(digits[:0], s.n.Add(1), 36)
	return s.start + zeros[min(len(n), len(zeros)):] + string(n)
}

// zeros pad the number of an id, so that ids have one length.
const zeros = "0000000"

// harmless reports whether an id has 1 to 64 letters, digits, "-", "_" and ".".
func harmless(id string) bool {
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return len(id) > 0 && len(id) <= maxID
}

// Log returns a log whose lines about a request have its id.
func Log(log *slog.Logger) *slog.Logger {
	if _, has := log.Handler().(handler); has {
		return log
	}
	return slog.New(handler{log.Handler()})
}

// handler adds the id in the context of a record.
type handler struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if id := flow.RequestID(ctx); id != "" {
		r.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }
