package contract

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // TOTP is defined with it (RFC 6238)
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// factors are the second factors of the step mfa, in the schema of the Management API,
// plus the recovery code.
var factors = map[string]map[string]string{
	"otp":  {"id": "totp|dev_contract", "type": "totp", "totp_secret": contractTOTP},
	"push": {"id": "push|dev_contract", "type": "push"},
	"sms":  {"id": "sms|dev_contract", "type": "phone", "phone_number": "+15550100"},
}

const contractTOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" //nolint:gosec // of a mock's user

// mfa:otp, mfa:push, mfa:sms: the user has such a factor, whose id is {{authenticator_id}},
// and a second factor is required. {{totp}} is the one-time password of now and
// {{recovery_code}} the user's.
func stepMFA(ctx context.Context, s *scene, arg string) error {
	factor, known := factors[arg]
	if !known {
		return fmt.Errorf("no factor %q", arg)
	}
	if err := s.applyCalls(ctx, s.data.mockSetup.Steps["client:mfa_grants"]); err != nil {
		return err
	}
	recovery := "CONTRACT" + randomText()[:16]
	methods := []any{stringObject(factor), stringObject(map[string]string{"type": "recovery-code", "recovery_code": recovery})}
	call := "PATCH users/" + url.PathEscape(s.vars["username"])
	if err := s.wire.control(ctx, call, newObject("authentication_methods", methods)); err != nil {
		return err
	}
	if err := s.applyCalls(ctx, s.data.mockSetup.Steps["action:mfa"]); err != nil {
		return err
	}
	s.vars["authenticator_id"] = factor["id"]
	s.setSecret("recovery_code", recovery)
	s.setSecret("totp", totpAt(s.target.Now()))
	return nil
}

func stringObject(m map[string]string) *object {
	o := newObject()
	for _, name := range []string{"id", "type", "totp_secret", "phone_number", "recovery_code"} {
		if v := m[name]; v != "" {
			o.keys = append(o.keys, name)
			o.values[name] = v
		}
	}
	return o
}

// totpAt is the one-time password of the user at a time (RFC 6238).
func totpAt(now time.Time) string {
	key, _ := base32.StdEncoding.DecodeString(contractTOTP)
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, now.Unix()/30)
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[offset:])&0x7fffffff%1000000)
}

// mfa_token: a password grant is refused with mfa_required; {{mfa_token}} continues it.
func stepMFAToken(ctx context.Context, s *scene, _ string) error {
	a, err := s.grant(ctx, "password", map[string]string{"username": "{{username}}", "password": "{{password}}", "scope": "openid"})
	if err != nil {
		return err
	}
	o, err := parseObject(a.body)
	if err != nil || a.code() != "mfa_required" || o.text("mfa_token") == "" {
		return errors.New("no mfa_token: " + a.summary())
	}
	s.setSecret("mfa_token", o.text("mfa_token"))
	return nil
}

// mfa_challenge: the tenant sends an out-of-band challenge; {{oob_code}} is its handle.
func stepMFAChallenge(ctx context.Context, s *scene, _ string) error {
	body, err := s.vars.fillMap(map[string]string{ //nolint:gosec // placeholders
		"client_id": "{{client_id}}", "client_secret": "{{client_secret}}", "mfa_token": "{{mfa_token}}", "challenge_type": "oob",
		"authenticator_id": "{{authenticator_id}}",
	})
	if err != nil {
		return err
	}
	a, err := s.wire.send(ctx, nil, http.MethodPost, s.target.Issuer+"mfa/challenge", http.Header{"Content-Type": {"application/json"}}, encodeJSON(body))
	if err != nil {
		return err
	}
	o, err := parseObject(a.body)
	if err != nil || a.status != http.StatusOK || o.text("oob_code") == "" {
		return errors.New("no challenge: " + a.summary())
	}
	s.setSecret("oob_code", o.text("oob_code"))
	return nil
}

// mfa_reject: the user rejects the push notification.
func stepMFAReject(ctx context.Context, s *scene, _ string) error {
	return s.wire.control(ctx, "POST push", newObject("user", s.vars["username"], "answer", "reject"))
}
