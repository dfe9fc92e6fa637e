package recording

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/tokend/pkg/contract"
)

// Config is what a [Replay] needs of the tenant behind it.
type Config struct {
	Recording *contract.Recording
	Issuer    string
	KeyID     string // of the tenant's key, which signs the tokens
	Key       *rsa.PrivateKey
	Now       func() time.Time
	Next      http.Handler // answers requests that match no case
}

// Replay answers requests as they are recorded. It issues new codes and tokens in the
// place of the recorded ones, and knows which of them a request may use. It accepts any
// client secret and password, because a recording has none, except for the one that stands
// for those which the issuer refused.
type Replay struct {
	Config
	mu     sync.Mutex
	issued map[[32]byte]*replayed
}

// replayed is an issued value.
type replayed struct {
	name    string // of its variable: code, at, rt, …
	session *session
}

// session is one login, or one machine's token.
type session struct {
	vars  map[string]string // values that requests gave for variables
	setup []string          // steps so far, as in a case
}

// NewReplay makes a replay.
func NewReplay(c Config) *Replay { return &Replay{Config: c, issued: map[[32]byte]*replayed{}} }

// ServeHTTP implements http.Handler.
func (p *Replay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the body is larger than 1 MiB", http.StatusRequestEntityTooLarge)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, err := url.ParseQuery(string(body))
	if err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form = url.Values{}
	}
	p.mu.Lock()
	c, s := p.choose(r, form)
	if c == nil {
		p.mu.Unlock()
		p.Next.ServeHTTP(w, r)
		return
	}
	location, answer := p.answer(c, s)
	p.advance(c, s, form)
	p.mu.Unlock()
	h := w.Header()
	h.Set("X-Mockauth0", "a mock tenant, for tests only; replayed "+c.ID)
	for name, v := range c.Headers {
		if v != nil {
			h.Set(name, p.fill(*v, s))
		}
	}
	if location != "" {
		h.Set("Location", location)
	}
	w.WriteHeader(c.Status)
	_, _ = w.Write(answer)
}

// choose returns the case for a request, and its session. A case whose secrets are in
// the same state comes first. The tenant serves its own keys, which sign here too.
func (p *Replay) choose(r *http.Request, form url.Values) (*contract.Case, *session) {
	var best *contract.Case
	var of *session
	rank := 0
	for i := range p.Recording.Cases {
		c := &p.Recording.Cases[i]
		if c.Request.Method != r.Method || c.Request.Path != r.URL.Path || strings.HasSuffix(c.Request.Path, "/jwks.json") {
			continue
		}
		s, issued, ok := p.matches(c, r, form)
		if !ok {
			continue
		}
		n := 1
		switch {
		case issued == "" && c.Status < http.StatusBadRequest:
			n = 3
		case issued != "" && slices.Equal(s.setup, c.Setup):
			n = 4
		case issued == "code": // used before, and that is not recorded
			n = 0
		case issued != "" && c.Status < http.StatusBadRequest:
			n = 2
		}
		if n > rank {
			best, of, rank = c, s, n
		}
	}
	return best, of
}

// matches compares a request with a case. issued is the variable of the issued value in
// the request, or "".
func (p *Replay) matches(c *contract.Case, r *http.Request, form url.Values) (s *session, issued string, ok bool) {
	s = &session{vars: map[string]string{}}
	given := map[string]string{}
	match := func(want map[string]string, got url.Values) bool {
		for name := range got {
			if _, named := want[name]; !named && name != "state" {
				return false
			}
		}
		for name, value := range want {
			if !got.Has(name) && name != "state" || !p.value(value, got.Get(name), given, &s, &issued) {
				return false
			}
		}
		return true
	}
	if !match(c.Request.Query, r.URL.Query()) || !match(c.Request.Form, form) {
		return nil, "", false
	}
	authorization := r.Header.Get("Authorization")
	want := c.Request.Headers["Authorization"]
	wantScheme, wantValue, _ := strings.Cut(want, " ")
	scheme, value, _ := strings.Cut(authorization, " ")
	switch {
	case !strings.EqualFold(scheme, wantScheme):
		return nil, "", false
	case strings.EqualFold(scheme, "Basic"):
		id, secret, _ := r.BasicAuth()
		if secret == wrongSecret && wantValue == "{{basic}}" {
			return nil, "", false
		}
		given["client_id"] = id
	case want != "" && !p.value(wantValue, value, given, &s, &issued):
		return nil, "", false
	}
	if challenge := s.vars["challenge"]; given["verifier"] != "" && challenge != "" {
		if sum := sha256.Sum256([]byte(given["verifier"])); challenge != base64.RawURLEncoding.EncodeToString(sum[:]) && challenge != given["verifier"] {
			return nil, "", false
		}
	}
	for name, value := range given {
		if old := s.vars[name]; old != "" && old != value && (name == "client_id" || name == "redirect_uri") {
			return nil, "", false // another client
		}
	}
	fresh := &session{vars: map[string]string{}, setup: s.setup}
	for _, vars := range []map[string]string{s.vars, given} {
		for name, value := range vars {
			fresh.vars[name] = value
		}
	}
	if s.setup == nil && issued == "" {
		return fresh, issued, true
	}
	s.vars = fresh.vars
	return s, issued, true
}

// value compares one value of a request with that of a case, and notes what it stands
// for.
func (p *Replay) value(want, got string, given map[string]string, s **session, issued *string) bool {
	name, isVariable := strings.CutPrefix(want, "{{")
	name = strings.TrimSuffix(name, "}}")
	known := p.issued[sha256.Sum256([]byte(got))]
	switch {
	case isVariable && slices.Contains([]string{"code", "rt", "rt_previous", "at", "id_token", "dc"}, name):
		if known == nil || known.name != name {
			return false
		}
		*s, *issued = known.session, name
		return true
	case isVariable && got == wrongSecret:
		return false
	case isVariable:
		given[name] = got
		return true
	case want == recordedState:
		given["state"] = got
		return true
	case want == unknown:
		return known == nil
	case want == wrongSecret:
		return true
	}
	return want == got
}

// answer returns the redirect and the body of a case with new values.
func (p *Replay) answer(c *contract.Case, s *session) (location string, body []byte) {
	if c.Location != nil {
		var params []string
		for _, pair := range c.Location.Params {
			value := p.fill(pair[1], s)
			switch {
			case pair[1] == "<code>":
				value = p.issue("code", &session{vars: s.vars, setup: []string{"code"}})
			case pair[1] == recordedState && s.vars["state"] == "":
				continue
			case pair[1] == recordedState:
				value = s.vars["state"]
			}
			params = append(params, pair[0]+"="+url.QueryEscape(value))
		}
		separator := "?"
		if c.Location.In == "fragment" {
			separator = "#"
		} else if strings.Contains(s.vars["redirect_uri"], "?") {
			separator = "&"
		}
		return p.fill(c.Location.To, s) + separator + strings.Join(params, "&"), nil
	}
	switch {
	case c.Body == nil:
		return "", nil
	case c.Body.Text != nil:
		return "", []byte(*c.Body.Text)
	}
	var numbers struct {
		ExpiresIn any `json:"expires_in"`
	}
	_ = json.Unmarshal(c.Body.Exact, &numbers)
	lifetime, _ := numbers.ExpiresIn.(float64)
	var exact bytes.Buffer
	_ = json.Compact(&exact, c.Body.Exact) // as it was; the file is indented. ReadRecording has parsed it
	names := map[string]string{"access_token": "at", "refresh_token": "rt", "id_token": "id_token", "device_code": "dc"}
	return "", mapStrings(exact.Bytes(), func(key, want string) any {
		var value string
		switch {
		case want == "$jwt":
			value = p.sign(p.Recording.JWT[c.JWT[key]], s, lifetime)
		case want == "$opaque":
			value = rand.Text() + rand.Text()
		default:
			return p.kind(key, want, s, p.Now().Unix())
		}
		if name := names[key]; name != "" {
			p.keep(value, name, s)
		}
		return value
	}, func(_ string, n json.Number) any { return n })
}

// advance notes what the answer changed, as the recorder does.
func (p *Replay) advance(c *contract.Case, s *session, form url.Values) {
	old := p.issued[sha256.Sum256([]byte(form.Get("refresh_token")))]
	switch {
	case c.Request.Path == "/oauth/revoke" && c.Status == http.StatusOK:
		s.setup = append(slices.Clone(s.setup), "revoke")
	case c.Request.Path != "/oauth/token" || c.Status != http.StatusOK:
	case form.Get("grant_type") == "authorization_code":
		s.setup = append(slices.Clone(s.setup), "exchange")
	case old != nil && c.Body != nil && strings.Contains(string(c.Body.Exact), `"refresh_token"`):
		old.name = "rt_previous"
		s.setup = append(slices.Clone(s.setup), "refresh")
	}
}

// issue returns a new value.
func (p *Replay) issue(name string, s *session) string {
	value := rand.Text() + rand.Text()
	p.keep(value, name, s)
	return value
}

const maxIssued = 100000 // values that a replay remembers

func (p *Replay) keep(value, name string, s *session) {
	for old := range p.issued {
		if len(p.issued) < maxIssued {
			break
		}
		delete(p.issued, old) // any
	}
	p.issued[sha256.Sum256([]byte(value))] = &replayed{name, s}
}

var variable = regexp.MustCompile(`\{\{(\w+)\}\}`)

// fill replaces the variables of a text.
func (p *Replay) fill(text string, s *session) string {
	return variable.ReplaceAllStringFunc(text, func(v string) string {
		name := v[2 : len(v)-2]
		if name == "issuer" {
			return p.Issuer
		}
		return s.vars[name]
	})
}

// kind returns a value for a placeholder.
func (p *Replay) kind(key, want string, s *session, now int64) any {
	switch want {
	case "$int":
		return now
	case "$sub":
		return "auth0|replayed"
	case "$iso_ms":
		return p.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	case "$string":
		if key == "email" {
			return "replayed@example.com"
		}
		return "replayed"
	}
	return p.fill(want, s)
}

// sign makes a JWT of a profile with the tenant's key.
func (p *Replay) sign(profile contract.Profile, s *session, expiresIn float64) string {
	now := p.Now().Unix()
	life := int64(expiresIn)
	if profile.Lifetime != "expires_in" {
		_ = json.Unmarshal([]byte(profile.Lifetime), &life)
	}
	keep := func(_ string, n json.Number) any { return n }
	header := mapStrings(profile.Header, func(key, want string) any {
		switch key {
		case "kid":
			return p.KeyID
		case "alg":
			return "RS256"
		}
		return p.kind(key, want, s, now)
	}, keep)
	claims := mapStrings(profile.Claims, func(key, want string) any {
		if key == "exp" {
			return now + life
		}
		return p.kind(key, want, s, now)
	}, keep)
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, p.Key, crypto.SHA256, sum[:])
	if err != nil { // a key of 2048 bits signs any hash
		panic("recording: " + err.Error())
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}
