package flow

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

func TestDevice_AuthorizationAnswers(t *testing.T) {
	change := func(from, to string) http.HandlerFunc {
		return answering(200, strings.Replace(deviceAnswer, from, to, 1))
	}
	for name, tc := range map[string]struct {
		h     http.HandlerFunc
		class Class // "": accepted
		part  string
		check func(Login) bool
	}{
		"no complete URI": {
			h:     change(`"verification_uri_complete":"https://tenant.test/activate?user_code=QTZL-MCBW",`, ``),
			check: func(l Login) bool { return l.URL == "https://tenant.test/activate" },
		},
		"B26 verification_url": {
			h: answering(200, `{"device_code":"d","user_code":"QTZL-MCBW","verification_url":"https://tenant.test/device","expires_in":900}`),
			check: func(l Login) bool {
				return l.VerificationURI == "https://tenant.test/device" && l.URL == l.VerificationURI
			},
		},
		"B26 plain verification_url": {
			h:     answering(200, `{"device_code":"d","user_code":"U","verification_url":"http://tenant.test/device","expires_in":900}`),
			class: ClassBadResponse, part: "verification_uri",
		},
		"B21 empty error, BOM": {h: answering(201, "\xef\xbb\xbf"+strings.Replace(deviceAnswer, `{`, `{"error":"",`, 1)+"\x00"), check: func(l Login) bool { return l.UserCode == "QTZL-MCBW" }},
		"no interval":          {h: change(`,"interval":5`, ``), check: func(l Login) bool { return l.Interval == 5 }},
		"interval 0":           {h: change(`"interval":5`, `"interval":0`), check: func(l Login) bool { return l.Interval == 5 }},
		"interval of a day":    {h: change(`"interval":5`, `"interval":86400`), check: func(l Login) bool { return l.Interval == 60 }},
		"a life of a year":     {h: change(`"expires_in":900`, `"expires_in":31536000`), check: func(l Login) bool { return l.Expires.Equal(time.Now().Add(time.Hour)) }},
		"expires_in as text":   {h: change(`900`, `"900"`), check: func(l Login) bool { return l.Expires.Equal(time.Now().Add(15 * time.Minute)) }},
		"no expires_in":        {h: change(`"expires_in":900,`, ``), class: ClassBadResponse, part: "expires_in"},
		"expires_in 0":         {h: change(`900`, `0`), class: ClassBadResponse, part: "expires_in"},
		"no device code":       {h: change(`"device_code":"CANARY-device",`, ``), class: ClassBadResponse, part: "device_code"},
		"device code of lines": {h: change(`CANARY-device`, `CANARY\r\nX: y`), class: ClassBadResponse, part: "device_code"},
		"device code twice":    {h: change(`{`, `{"Device_Code":"CANARY",`), class: ClassBadResponse, part: "twice"},
		"no user code":         {h: change(`"user_code":"QTZL-MCBW",`, ``), class: ClassBadResponse, part: "user_code"},
		"a user code of lines": {h: change(`"QTZL-MCBW"`, `"A\u001b[2J"`), class: ClassBadResponse, part: "user_code"},
		"no URI":               {h: change(`"verification_uri":"https://tenant.test/activate",`, ``), class: ClassBadResponse, part: "verification_uri"},
		"URI of a script":      {h: change(`"verification_uri":"https://tenant.test/activate"`, `"verification_uri":"javascript:alert(1)"`), class: ClassBadResponse, part: "verification_uri"},
		"plain URI elsewhere":  {h: change(`"verification_uri_complete":"https:`, `"verification_uri_complete":"http:`), class: ClassBadResponse, part: "verification_uri_complete"},
		"no JSON":              {h: answering(200, `CANARY`), class: ClassBadResponse, part: "JSON"},
		"a page":               {h: func(w http.ResponseWriter, r *http.Request) { raw(200, "text/html", "CANARY")(w, r, nil) }, class: ClassBadResponse, part: "JSON"},
		"huge":                 {h: answering(200, strings.Repeat(" ", maxBody+1)), class: ClassBadResponse, part: "256 KiB"},
		"error under 200":      {h: answering(200, `{"error":"invalid_scope"}`), class: ClassRequest, part: "invalid_scope"},
		"not allowed":          {h: answering(403, `{"error":"unauthorized_client"}`), class: ClassClientRejected, part: "unauthorized_client"},
		"down":                 {h: answering(503, ``), class: ClassUnreachable, part: "503"},
		"redirect":             {h: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "https://a.test/", 307) }, class: ClassRedirect},
		"cut off":              {h: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, class: ClassUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c, p := s.withDevice(t, nil)
				p.answer = tc.h
				l, err := c.Login(t.Context())
				c.stopWaiting()
				if tc.class == "" {
					if err != nil || !tc.check(l) {
						t.Errorf("%+v, %v", l, err)
					}
					return
				}
				if e := wantError(t, err, tc.class, tc.part); strings.Contains(e.Error(), "CANARY") || c.Status().DeviceLogin != nil {
					t.Errorf("%v, %+v", e, c.Status())
				}
				if s.called("/oauth/device/code") != 1 || s.count("") != 0 {
					t.Error("asked more than once")
				}
			})
		})
	}
}

func TestDevice_RateLimit(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c, p := s.withDevice(t, nil)
		p.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "30")
			reply(w, 429, map[string]string{"error": "too_many_requests"})
		}
		for range 10 {
			_, err := c.Login(t.Context())
			wantError(t, err, ClassRateLimited, "")
			time.Sleep(2 * time.Second)
		}
		if n := s.called("/oauth/device/code"); n != 1 {
			t.Errorf("%d requests within the limit", n)
		}
		p.answer = nil
		time.Sleep(10 * time.Second)
		if _, err := c.Login(t.Context()); err != nil {
			t.Error(err)
		}
		c.stopWaiting()
	})
}

func TestDevice_Discovery(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.newCredentialClient(t, Device{}, nil)
		_, err := c.Login(t.Context())
		wantError(t, err, ClassBadResponse, `no "device_authorization_endpoint"`)
		_, err = c.LoginHeadless(t.Context())
		wantError(t, err, ClassLoginRequired, "needs a person")
	})
	bubble(t, func(t *testing.T, s *tenant) {
		c, p := s.withDevice(t, func(c *Config) {
			c.Endpoint = oauth2.Endpoint{TokenURL: "https://tenant.test/oauth/token", DeviceAuthURL: "https://tenant.test/oauth/device/code"}
			c.Scopes = []string{"offline_access"}
		})
		s.answer = func(b map[string]any) { delete(b, "id_token") }
		s.decide(p, "")
		l, err := c.Login(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Finish(t.Context(), l, nil); err != nil || s.called("/.well-known/openid-configuration") != 0 {
			t.Errorf("%v, %d discoveries", err, s.called("/.well-known/openid-configuration"))
		}
	})
}
