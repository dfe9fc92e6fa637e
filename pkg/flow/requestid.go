package flow

import (
	"context"
	"net/http"
)

// requestIDHeader has the id of a request, for the logs of both sides.
const requestIDHeader = "X-Request-Id"

type requestIDKey struct{}

// WithRequestID returns a context of a request with that id. The client sends it to the
// provider with what it sends because of that request, and passes it to its log.
func WithRequestID(ctx context.Context, id string) context.Context {
	if id == "" {
		return ctx
	}
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id in a context, "" if there is none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// detached returns a context for work that outlives the request of ctx. It keeps the
// values, such as the id and a trace.
func detached(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

// setRequestID adds the id of ctx to a request to the provider.
func setRequestID(ctx context.Context, h http.Header) {
	if id := RequestID(ctx); id != "" {
		h.Set(requestIDHeader, id)
	}
}
