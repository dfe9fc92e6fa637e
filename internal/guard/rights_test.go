package guard

import (
	"crypto/sha256"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestAdmit_Rights(t *testing.T) {
	const readKey, oldKey = "read-key-0123456789", "old-key-0123456789"
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	g, err := New(Config{Now: func() time.Time { return now }, Keys: []Key{
		{Name: "main", Secret: secret(mainKey)},
		{Name: "read", Hash: sha256.Sum256([]byte(readKey)), Clients: []string{"demo"}, Audiences: []string{"a"}, ReadOnly: true, Expires: now.Add(time.Second)},
		{Name: "old", Hash: sha256.Sum256([]byte(oldKey)), Expires: now},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key    string
		need   Access
		client string
		want   string
	}{
		{mainKey, Manages, "demo", ""},
		{readKey, NeedsKey, "demo", ""},
		{readKey, Proxied, "demo", ""},
		{readKey, Manages, "demo", "manage_forbidden"},
		{readKey, Manages, "other", "client_forbidden"},
		{readKey, NeedsKey, "other", "client_forbidden"},
		{readKey, NeedsKey, "", ""},
		{oldKey, NeedsKey, "demo", "unauthorized"},
	} {
		caller, f := g.Admit(request(t, get(tokenPath, "HOST", "\nAuthorization: Bearer "+c.key), tcp), c.need, c.client)
		if codeOf(f) != c.want {
			t.Errorf("%s %d %s: %+v", c.key, c.need, c.client, f)
		}
		if c.key == oldKey && (caller.Name != "" || !strings.Contains(f.Description, "expired at 2026-01-02T03:04:05Z")) {
			t.Errorf("%+v, %+v", caller, f)
		}
		if c.key == readKey && (caller.MayManage() || !caller.MayHave("a") || caller.MayHave("b") || caller.MayHave("")) {
			t.Errorf("%+v", caller)
		}
		if c.key == mainKey && (!caller.MayManage() || !caller.MayHave("b")) {
			t.Errorf("%+v", caller)
		}
	}
	if now = now.Add(time.Second); codeOf(func() *Refusal {
		_, f := g.Admit(request(t, get(tokenPath, "HOST", "\nAuthorization: Bearer "+readKey), tcp), NeedsKey, "demo")
		return f
	}()) != "unauthorized" {
		t.Error("the key is used after its end")
	}
	if none := (&Caller{}); none.May("demo") || none.MayManage() || none.MayHave("") {
		t.Error("the zero caller may do something")
	}
}

func TestAdmit_RateOfEachCaller(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	limits := &Limits{}
	keys := []Key{{Name: "main", Secret: secret(mainKey)}, {Name: "ci", Secret: secret(ciKey), Rate: 0.5}}
	with := func() *Guard {
		g, err := New(Config{Keys: keys, Rate: 3, Limits: limits, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	g := with()
	admit := func(key string) *Refusal {
		_, f := g.Admit(request(t, get(tokenPath, "HOST", "\nAuthorization: Bearer "+key), tcp), NeedsKey, "demo")
		return f
	}
	count := func(key string) (n int) {
		for n < 100 && admit(key) == nil {
			n++
		}
		return n
	}
	if m, c := count(mainKey), count(ciKey); m != 3 || c != 1 {
		t.Errorf("%d and %d requests", m, c)
	}
	g = with() // a reload
	if m := count(mainKey); m != 0 {
		t.Errorf("%d more after a reload", m)
	}
	f := admit(ciKey)
	if f == nil || f.Status != 503 || f.Code != "caller_rate_limited" || f.RetryAfter != 2 || f.Hint == "" {
		t.Errorf("%+v", f)
	}
	now = now.Add(1500 * time.Millisecond)
	if m, c := count(mainKey), count(ciKey); m != 3 || c != 0 {
		t.Errorf("%d and %d requests later", m, c)
	}
	now = now.Add(-time.Hour) // the clock is set
	if m := count(mainKey); m != 0 {
		t.Errorf("%d requests for a clock that was set", m)
	}
	var log strings.Builder
	f.Log(slog.New(slog.NewTextHandler(&log, nil)), request(t, get(tokenPath, "HOST", ""), tcp), &Caller{})
	if log.Len() > 0 {
		t.Errorf("a line for each: %s", log.String())
	}
}

func TestNew_RefusesHashes(t *testing.T) {
	for name, keys := range map[string][]Key{
		"no value":                {{Name: "a"}},
		"a hash that a value has": {{Name: "a", Secret: secret(mainKey)}, {Name: "b", Hash: sha256.Sum256([]byte(mainKey))}},
	} {
		if _, err := New(Config{Keys: keys}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
