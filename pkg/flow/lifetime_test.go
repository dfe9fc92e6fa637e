package flow

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// The token's exp limits how long it is served. It is measured on the provider's
// clock, so a wrong local clock does no harm.
//
// Row B24 of docs/guarantees.md.
func TestRefresh_JWTExpiryBoundsLifetime(t *testing.T) {
	const day = 24 * time.Hour
	for name, tc := range map[string]struct {
		expiresIn string
		exp       time.Duration // on the provider's clock; 0: no exp
		off       time.Duration // the provider's clock minus the local one
		noDate    bool
		want      time.Duration // 0: refused
	}{
		"B24 exp earlier":                  {expiresIn: "3600", exp: 10 * time.Minute, want: 10 * time.Minute},
		"B24 exp later":                    {expiresIn: "3600", exp: day, want: time.Hour},
		"B24 2^63, exp counts":             {expiresIn: "9223372036854775808", exp: 10 * time.Minute, want: 10 * time.Minute},
		"B24 2^63 without exp":             {expiresIn: "9223372036854775808", want: maxLifetime},
		"B24 local clock two hours behind": {expiresIn: "3600", exp: 10 * time.Minute, off: 2 * time.Hour, want: 10 * time.Minute},
		"B24 local clock two hours ahead":  {expiresIn: "3600", exp: 10 * time.Minute, off: -2 * time.Hour, want: 10 * time.Minute},
		"B24 ahead, no expires_in":         {expiresIn: "null", exp: 10 * time.Minute, off: -2 * time.Hour, want: 10 * time.Minute},
		"B24 no Date: as sent":             {expiresIn: "3600", exp: 10 * time.Minute, noDate: true, want: 10 * time.Minute},
		"B24 expired on arrival":           {expiresIn: "3600", exp: -time.Second},
		"B24 exp in milliseconds":          {expiresIn: "3600", exp: 200 * 365 * day, want: time.Hour},
		"B24 issued earlier":               {expiresIn: "86400", exp: time.Minute, want: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c := s.loggedIn(t, nil)
				there := time.Now().Add(tc.off)
				access := "opaque"
				if tc.exp != 0 {
					access = signed(testKey(), "k1", map[string]any{"exp": there.Add(tc.exp).Unix()})
				}
				s.script(func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
					if !tc.noDate {
						w.Header().Set("Date", there.UTC().Format(http.TimeFormat))
					}
					raw(200, "application/json", fmt.Sprintf(`{"access_token":%q,"refresh_token":"rt-9","expires_in":%s}`, access, tc.expiresIn))(w, r, next)
				})
				_, err := c.Refresh(t.Context())
				if g, _ := c.cfg.Store.Load(t.Context(), demoKey); g.RefreshToken != "rt-9" {
					t.Error("the successor is not stored")
				}
				if tc.want == 0 {
					wantError(t, err, ClassBadResponse, "expired on arrival")
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				tok, err := c.Get(t.Context(), Request{MinValidity: tc.want + time.Hour})
				if err != nil || tok.Remaining(time.Now()) > tc.want {
					t.Errorf("%v, %v, want %v", tok, err, tc.want)
				}
				if tok := c.Cached(Request{}); tok == nil || tok.Remaining(time.Now()) != tc.want {
					t.Errorf("remaining %v, want %v", tok, tc.want)
				}
			})
		})
	}
}
