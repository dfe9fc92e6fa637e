package mock_test

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"example.com/tokend/pkg/mock"
)

// The journal distinguishes errors that have the same response.
func TestJournalReasons(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for reason, params := range map[string][]string{
		"no client_secret":    {"grant_type", "client_credentials", "client_id", "demo"},
		"wrong client_secret": {"grant_type", "client_credentials", "client_id", "demo", "client_secret", "x"},
	} {
		w.post("/oauth/token", params...).refused(401, "access_denied", "Unauthorized")
		if got := w.control("GET", "/_mock/requests?endpoint=token", "").body; !strings.Contains(got, `"reason":"access_denied: `+reason) {
			t.Errorf("the journal lacks %q: %s", reason, got)
		}
	}
}

// The journal distinguishes a malformed assertion from one that no key verifies.
func TestJournalReasonsOfAssertions(t *testing.T) {
	w, _ := keyedWorld(t)
	w.post("/oauth/token", "grant_type", "client_credentials", "client_id", "keyed", "audience", api,
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", "no.jwt").refused(401, "access_denied", "Unauthorized")
	if got := w.control("GET", "/_mock/requests?endpoint=token", "").body; !strings.Contains(got, "the assertion cannot be parsed") {
		t.Errorf("the journal has another reason: %s", got)
	}
}

// noCodes is a source of randomness that ends before the eight bytes of a user code.
type noCodes struct{}

func (noCodes) Read(p []byte) (int, error) {
	if len(p) == 8 {
		return 0, errors.New("none left")
	}
	return rand.Read(p)
}

func TestUserCodeNeedsRandomness(t *testing.T) {
	w := newWorld(t, mock.Config{Rand: noCodes{}})
	if r := w.post("/oauth/device/code", "client_id", "demo", "scope", "openid"); strings.Contains(r.body, "user_code") {
		t.Errorf("a user code without randomness: %s", r.body)
	}
}

// A body that ends early is an error, even if its first part is a valid request.
func TestBodyThatEndsEarly(t *testing.T) {
	w := newWorld(t, mock.Config{})
	body := io.MultiReader(strings.NewReader("grant_type=client_credentials&client_id=demo&client_secret=demo-secret"), iotest.ErrReader(errors.New("reset")))
	r := httptest.NewRequest("POST", "/oauth/token", body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w.do(r).refused(400, "invalid_request", "request aborted")
}
