package flow

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

func sprint(v any) string { return fmt.Sprintf("%v %+v %#v %s %q %t", v, v, v, v, v, v) }

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

func TestGrant_StoredForms(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	g := &Grant{
		Issuer: testIssuer, ClientID: "client", Subject: "user|1", Revision: 9, Generation: 7, State: GrantUncertain,
		RefreshToken: "rt", IDToken: "id", Scopes: []string{"openid"}, Rotation: RotationOn, LoggedIn: at, Exchanged: at, AuthTime: at,
		Intent: &Intent{Time: at, Generation: 7, Hash: "h", Replays: 1}, Seed: "s", Refused: "r",
		Failure: &Failure{Time: at, Class: ClassTimeout, Code: "c", Description: "d"},
		Tokens: []*Token{{
			AccessToken: "at", TokenType: "Bearer", Scope: "openid", Audience: "a", IDToken: "id", Obtained: at, Expiry: at.Add(time.Hour),
			Generation: 7, requested: []string{"openid"}, unverified: true,
		}},
	}
	b, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "grant.golden", b)
	var back Grant
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	back.Revision = g.Revision // kept by the store, not in the JSON
	if !reflect.DeepEqual(&back, g) {
		t.Errorf("back came %+v", back)
	}
	if c := g.clone(); !reflect.DeepEqual(c, g) || c.Intent == g.Intent || c.Failure == g.Failure {
		t.Errorf("clone %+v", c)
	}
	status, _ := json.MarshalIndent(Status{
		Client: "demo", Issuer: testIssuer, State: StateDegraded, Subject: "user|1", Scope: "openid", Expiry: at, Obtained: at, LastExchange: at,
		LoggedIn: at, NextRefresh: at, Generation: 7, Rotation: RotationOn, Failure: g.Failure, GrantEnds: at,
		DeviceLogin: &DeviceLogin{URL: "https://tenant.test/activate?user_code=QTZL-MCBW", VerificationURI: "https://tenant.test/activate", UserCode: "QTZL-MCBW", Expires: at, Failure: g.Failure},
	}, "", "  ")
	golden(t, "status.golden", status)
	least, _ := json.MarshalIndent(Status{Client: "demo", Issuer: testIssuer, State: StateStarting}, "", "  ")
	golden(t, "status-least.golden", least)
	login, _ := json.MarshalIndent(Login{
		Client: "demo", URL: "https://tenant.test/authorize?x", State: "s", Verifier: "v", Nonce: "n", RedirectURL: "http://localhost/callback",
		Audience: "a", Scopes: []string{"openid"}, Expires: at,
	}, "", "  ")
	golden(t, "login.golden", login)
	login, _ = json.MarshalIndent(Login{
		Client: "demo", URL: "https://tenant.test/activate?user_code=QTZL-MCBW", Audience: "a", Scopes: []string{"openid"}, Expires: at,
		DeviceCode: "d", UserCode: "QTZL-MCBW", VerificationURI: "https://tenant.test/activate", Interval: 5,
	}, "", "  ")
	golden(t, "login-device.golden", login)
}
