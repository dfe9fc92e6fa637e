package contract

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func TestMatchesSetting(t *testing.T) {
	for _, tc := range []struct {
		got          any
		isMock, real bool // the same on a mock, on a real tenant
	}{
		{json.Number("86400"), true, true},
		{json.Number("3600"), false, true},
		{json.Number("0"), false, false},
		{json.Number("-1"), false, false},
		{json.Number("1.5"), false, false},
		{"86400", false, false},
	} {
		for mock, want := range map[bool]bool{true: tc.isMock, false: tc.real} {
			if ok, known := matchesSetting("$setting:86400", tc.got, mock); !known || ok != want {
				t.Errorf("%v, mock %v: %v, known %v", tc.got, mock, ok, known)
			}
		}
	}
	if _, known := matchesSetting("$int", json.Number("1"), true); known {
		t.Error("$int is a setting")
	}
}

// Lifetimes and the scopes of a client grant are settings of a real tenant, so they
// make no difference there. On a mock the runner sets them.
func TestSettingsOfARealTenant(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c := Case{
		Status: 200,
		Body: &Body{
			Keys: []string{"expires_in"}, Shape: json.RawMessage(`{"expires_in":"$setting:86400"}`),
			Settings: json.RawMessage(`{"scope":"$string"}`),
		},
	}
	p := Profile{Claims: json.RawMessage(`{}`), Header: json.RawMessage(`{"alg":"RS256","kid":"$string","typ":"JWT"}`), Absent: []string{"scope", "gty"}, Lifetime: "36000"}
	for name, tc := range map[string]struct {
		body, claims string
		mock, tenant []string
	}{
		"set by the runner": {`{"expires_in":86400}`, `{"iat":1,"exp":36001}`, nil, nil},
		"set otherwise": {
			`{"expires_in":60,"scope":"a"}`, `{"iat":1,"exp":61,"scope":"a"}`,
			[]string{
				`body.expires_in: expected "$setting:86400", got 60`, "body.scope: expected none, got one",
				"at.scope: expected none, got one", "at: exp - iat: expected 36000, got 60",
			},
			nil,
		},
		"another scope": {
			`{"expires_in":86400,"scope":"a"}`, `{"iat":1,"exp":36001,"scope":"a b"}`,
			[]string{"body.scope: expected none, got one", "at.scope: expected none, got one"},
			[]string{"at.scope: expected none, got one"},
		},
		"no setting": {
			`{"expires_in":86400,"gty":"x"}`, `{"iat":1,"exp":36001,"gty":"x"}`,
			[]string{"body.gty: expected none, got one", "at.gty: expected none, got one"},
			[]string{"body.gty: expected none, got one", "at.gty: expected none, got one"},
		},
		"no life": {
			`{"expires_in":0}`, `{"iat":1,"exp":1}`,
			[]string{`body.expires_in: expected "$setting:86400", got 0`, "at: exp - iat: expected 36000, got 0"},
			[]string{`body.expires_in: expected "$setting:86400", got 0`, "at: exp - iat: expected 36000, got 0"},
		},
	} {
		for isMock, want := range map[bool][]string{true: tc.mock, false: tc.tenant} {
			m := judged(t, c, &answer{status: 200, header: http.Header{}, body: []byte(tc.body)}, isMock)
			m.scene.runner.keys.set = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k1"}}}
			m.matchJWT(t.Context(), "at", signed(t, key, tc.claims), p, json.Number("60"))
			if !slices.Equal(m.diff, want) {
				t.Errorf("%s, mock %v:\n got %q\nwant %q", name, isMock, m.diff, want)
			}
		}
	}
}
