package mock

import "time"

const (
	maxAttempts = 10 // of wrong passwords in a row before the account is blocked

	// blockLifetime is documented
	// (https://auth0.com/docs/secure/attack-protection/brute-force-protection).
	blockLifetime = 30 * 24 * time.Hour // since the last failed attempt
)

// failures are the failed attempts in a row of one user or client.
type failures struct {
	count int
	last  time.Time
}

func (f failures) over(now time.Time) bool { return now.Sub(f.last) >= blockLifetime }

// attemptKey is the key of a counter of failed attempts.
func attemptKey(kind, subject string) string { return hash(kind + "\x00" + subject) }

// blocked reports whether there were too many failed attempts.
func (t *Tenant) blocked(key string, now time.Time) bool {
	f := t.st.attempts[key]
	return f.count >= maxAttempts && !f.over(now)
}

// failed counts a failed attempt.
func (t *Tenant) failed(key string, now time.Time) {
	f, counted := t.st.attempts[key]
	if !counted {
		dropAttempts(&t.st.room, t.st.attempts, now)
	}
	if f.over(now) {
		f.count = 0
	}
	t.st.attempts[key] = failures{f.count + 1, now}
}
