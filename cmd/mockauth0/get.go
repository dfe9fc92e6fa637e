package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// statusError is the error of an answer that is not 200.
type statusError string

func (e statusError) Error() string { return "status " + string(e) }

// get fetches a small document of a running tenant, without a proxy.
func get(ctx context.Context, url string) ([]byte, error) {
	return getWithin(ctx, url, 3*time.Second, 1<<20)
}

// getWithin is get with a time limit and a number of bytes of its own.
func getWithin(ctx context.Context, url string, limit time.Duration, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := (&http.Client{Transport: &http.Transport{}}).Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, statusError(res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, most))
	if err != nil {
		return nil, fmt.Errorf("the answer is incomplete: %w", err)
	}
	return b, nil
}
