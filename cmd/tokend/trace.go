package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"example.com/tokend/internal/trace"
	"example.com/tokend/pkg/flow"
)

// traceEnd is how long the end of the service waits for spans that are not exported yet.
const traceEnd = 3 * time.Second

func startTracing(ctx context.Context, log *slog.Logger) (*trace.Tracer, error) {
	t, err := trace.Start(ctx, trace.Config{Environ: os.Environ, Version: buildVersion(), Log: log})
	return t, exitWith(exitConfig, err)
}

// traceClients makes the refreshes and token requests of the clients spans. The returned
// function exports the last ones.
func (s *serving) traceClients() (end func()) {
	if s.trace == nil {
		return func() {}
	}
	s.keeper.started = func(ctx context.Context, o flow.Operation) (context.Context, func(flow.Class)) {
		begin := s.trace.Begin
		if o.Name == flow.OpTokenRequest {
			begin = s.trace.Call
		}
		ctx, span := begin(ctx, o.Name)
		span.Set("tokend.client", o.Client)
		span.Set("tokend.grant_type", o.GrantType)
		return ctx, func(class flow.Class) { span.Ended(string(class)) }
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), traceEnd)
		defer cancel()
		if err := s.trace.Close(ctx); err != nil {
			s.log.WarnContext(ctx, "the last traces are not exported", "reason", err.Error(), "hint", "check the collector")
		}
	}
}

// classOfSave returns the class of an error of the store.
func classOfSave(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, flow.ErrConflict):
		return "conflict"
	}
	return "store"
}
