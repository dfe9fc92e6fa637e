package format

import (
	"context"
	"errors"
	"io"
	"os"

	"example.com/tokend/pkg/tokend"
)

// maxInput bounds the input of another program, in bytes.
const maxInput = 64 << 10

// input reads standard input up to its end. On a terminal it returns nothing,
// because people do not type a protocol. A read cannot be interrupted; when ctx ends
// the goroutine stays until the process ends.
func (p Process) input(ctx context.Context) ([]byte, error) {
	if f, ok := p.Stdin.(*os.File); ok {
		if fi, err := f.Stat(); err == nil && fi.Mode()&os.ModeCharDevice != 0 {
			return nil, nil
		}
	}
	type result struct {
		b   []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		b, err := io.ReadAll(io.LimitReader(p.Stdin, maxInput))
		done <- result{b, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, errorf(Usage, "", "cannot read standard input: %w", r.err)
		}
		return r.b, nil
	case <-ctx.Done():
		return nil, errorf(Unavailable, "", "%w", ctx.Err())
	}
}

// Dial returns the client of the service that the environment names, and reads its
// API key. It does not connect. An error names the variable that is wrong.
func Dial(getenv func(string) string) (*tokend.Client, error) {
	at, err := tokend.Find(getenv)
	if err != nil {
		return nil, err
	}
	c, err := tokend.New(at)
	if err != nil {
		return nil, AddressError(at, err)
	}
	_, err = c.Key() // a socket needs none
	return c, err
}

// AddressError names the variable of a wrong service address.
func AddressError(at tokend.Service, err error) error {
	variable := "TOKEND_ADDR"
	if at.OwnOnly {
		variable = "TOKEND_LISTEN"
	}
	var e *tokend.Error
	if !errors.As(err, &e) {
		return errorf(Configuration, "", "%s: %w", variable, err)
	}
	return errorf(Configuration, e.Hint, "%s: %s", variable, e.Description)
}
