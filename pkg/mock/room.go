package mock

import (
	"net/http"
	"time"
)

const (
	looks      = 4         // entries that are checked for a new one
	looksFull  = 16        // of a full map
	remembered = time.Hour // how long an expired code is known, for the hint that it expired
)

// room limits each kind of state. Expired entries go while others are added, and the
// oldest of a full map; the tenant never stops to clean up.
type room struct {
	most    int // entries of one kind
	dropped int // entries that were not over
}

// makeRoom makes room for one more entry of a map: it deletes entries that are over, and
// an old one if the map is full. born returns when an entry was made or last used.
func makeRoom[V any](r *room, m map[string]V, over func(V) bool, born func(V) time.Time) {
	for _, key := range excess(r, m, over, born) {
		delete(m, key)
	}
}

// excess returns the keys to delete. It checks a few entries, which the order of a map
// picks at random: of a map that grows steadily, at most a quarter is over.
func excess[V any](r *room, m map[string]V, over func(V) bool, born func(V) time.Time) []string {
	left := looks
	if len(m) >= r.most {
		left = looksFull
	}
	var keys []string
	oldest, age := "", time.Time{}
	for key, v := range m {
		at := born(v)
		switch {
		case over(v):
			keys = append(keys, key)
		case oldest == "" || at.Before(age):
			oldest, age = key, at
		}
		if left--; left == 0 {
			break
		}
	}
	if len(m)-len(keys) >= r.most && oldest != "" {
		r.dropped++
		keys = append(keys, oldest)
	}
	return keys
}

// itself is the time of an entry that is only a time.
func itself(t time.Time) time.Time { return t }

// kept returns how many entries the tenant keeps of each kind, some of them expired.
func (t *Tenant) kept() (map[string]int, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := t.st
	return map[string]int{
		"sessions": len(st.sessions), "logins": len(st.logins), "consents": len(st.consents), "codes": len(st.codes),
		"families": len(st.families), "refresh_tokens": len(st.refresh), "devices": len(st.devices), "attempts": len(st.attempts),
		"pushed_requests": len(st.pushed), "revoked_access_tokens": len(st.revoked), "assertions": len(st.jtis),
		"proofs": len(st.proofs), "mails": len(st.mails), "password_resets": len(st.resets), "one_time_codes": len(st.otps),
		"mfa": len(st.mfas), "invitations": len(st.invitations), "profiles": len(st.profiles),
	}, st.room.dropped
}

// showState is GET /_mock/state.
func (t *Tenant) showState(w http.ResponseWriter, _ *http.Request) {
	kept, dropped := t.kept()
	respondJSON(w, struct {
		Kept    map[string]int `json:"kept"`
		Dropped int            `json:"dropped"`
	}{kept, dropped})
}

// dropAttempts keeps the counters of failed attempts few. Those of blocked accounts stay
// longest.
func dropAttempts(r *room, m map[string]failures, now time.Time) {
	if len(m) < r.most {
		return
	}
	left, victim := looksFull, ""
	for key, f := range m {
		victim = key
		if left--; f.count < maxAttempts || f.over(now) || left == 0 {
			break
		}
	}
	delete(m, victim)
	r.dropped++
}
