package guard

import (
	"math"
	"net/http"
	"sync"
	"time"
)

// Limits are how many requests callers may send. They outlive a [Guard], so that a
// reload gives no one more requests. The zero value is ready to use.
type Limits struct {
	mu sync.Mutex
	of map[string]*limit // by name of the caller
}

// limit is a token bucket that holds the requests of a second.
type limit struct {
	mu   sync.Mutex
	rate float64 // requests per second; 0: any number
	left float64
	last time.Time
}

// get returns the limit of a caller, with its present rate; nil: any number of requests,
// which needs neither a lock nor the time.
func (l *Limits) get(name string, rate float64) *limit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[string]*limit{}
	}
	one := l.of[name]
	if one == nil {
		if rate <= 0 {
			return nil
		}
		one = &limit{}
		l.of[name] = one
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.rate != rate {
		one.rate, one.left = rate, burst(rate)
	}
	if rate <= 0 {
		return nil
	}
	return one
}

func burst(rate float64) float64 { return max(1, rate) }

// take takes a request, or returns how long to wait for one.
func (l *limit) take(now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rate <= 0 {
		return 0
	}
	if passed := now.Sub(l.last); passed > 0 {
		l.left = min(burst(l.rate), l.left+passed.Seconds()*l.rate)
		l.last = now
	}
	if l.left >= 1 {
		l.left--
		return 0
	}
	return time.Duration((1 - l.left) / l.rate * float64(time.Second))
}

// tooMany is a 503 and not a 429, whose body Terraform's http data source hides.
func tooMany(wait time.Duration) *Refusal {
	return &Refusal{
		Status: http.StatusServiceUnavailable, Code: "caller_rate_limited", RetryAfter: max(1, int(math.Ceil(wait.Seconds()))),
		Description: "this caller sends too many requests", Hint: "keep the token until it expires, or raise the caller's rate_limit",
	}
}
