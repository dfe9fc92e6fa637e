package exitcode

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"example.com/tokend/internal/format"
	"example.com/tokend/pkg/tokend"
)

func TestOf(t *testing.T) {
	service := func(status int, code string) error { return &tokend.Error{Status: status, Code: code} }
	for _, c := range []struct {
		err  error
		want int
	}{
		{&format.Told{Err: service(503, "x")}, 1},
		{formError(format.Usage), 64},
		{formError(format.NoClient), 66},
		{formError(format.Unavailable), 69},
		{formError(format.Protocol), 76},
		{formError(format.Refused), 77},
		{formError(format.Configuration), 78},
		{&format.Error{Kind: format.Provider, Class: "idp_timeout"}, 75},
		{&format.Error{Kind: format.Provider, Class: "login_required"}, 77},
		{service(0, tokend.CodeUnreachable), 69},
		{service(0, tokend.CodeAddress), 78},
		{service(200, tokend.CodeNotTokend), 76},
		{service(404, tokend.CodeUnknownClient), 66},
		{service(409, tokend.CodeClientRejected), 77},
		{service(500, tokend.CodeStoreCorrupt), 78},
		{service(500, tokend.CodeStoreUnavailable), 75},
		{service(400, tokend.CodeInvalidRequest), 64},
		{&tokend.Error{Status: 400, Code: tokend.CodeInvalidRequest, ProviderError: "access_denied"}, 78},
		{service(401, "x"), 77},
		{service(403, "x"), 77},
		{service(503, "x"), 75},
		{service(418, "x"), 64},
		{service(502, "x"), 76},
		{fmt.Errorf("wrapped: %w", service(503, "x")), 75},
	} {
		if got, ok := Of(c.err); got != c.want || !ok {
			t.Errorf("%#v: %d, %v, want %d", c.err, got, ok, c.want)
		}
	}
	if _, ok := Of(io.EOF); ok {
		t.Error("an error of another package has a code")
	}
}

func formError(kind format.Kind) error { return &format.Error{Kind: kind} }

func TestTextAndHint(t *testing.T) {
	for _, c := range []struct {
		err        error
		text, hint string
	}{
		{&tokend.Error{Status: 409, Code: "login_required", Description: "no grant", Hint: "log in"}, "login_required: no grant", "log in"},
		{&tokend.Error{Code: tokend.CodeUnreachable, Description: "no answer", Hint: "start it"}, "no answer", "start it"},
		{&tokend.Error{Status: 200, Code: tokend.CodeNotTokend, Description: "not tokend"}, "not tokend", ""},
		{errors.New("other"), "other", ""},
	} {
		if text, hint := Text(c.err), Hint(c.err); text != c.text || hint != c.hint {
			t.Errorf("%v: %q, %q", c.err, text, hint)
		}
	}
}
