package mock

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

// consoleAction is POST /_mock/console/PAGE: a form of the console. The answer redirects
// to the page, or is the page with the error.
func (t *Tenant) consoleAction(w http.ResponseWriter, r *http.Request, at address) {
	if r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" {
		controlError(w, http.StatusForbidden, "the console takes requests of its own pages only; GET "+controlPrefix+" lists the calls for programs")
		return
	}
	name := strings.TrimPrefix(r.URL.Path, consolePrefix)
	i := slices.IndexFunc(consolePages(), func(p consolePage) bool { return p.Name == name })
	if i < 0 {
		controlError(w, http.StatusNotFound, "the console has no page "+clip(name))
		return
	}
	page := consolePages()[i]
	if err := r.ParseForm(); err != nil {
		t.showConsole(w, r, at, page, "the form cannot be read: "+err.Error())
		return
	}
	defer t.journal.signal()
	opened, err := t.actToken(r.PostForm, at.issuer)
	if opened == nil && err == nil {
		err = t.act(r.PostForm)
	}
	switch {
	case err != nil:
		t.showConsole(w, r, at, page, err.Error())
	case opened != nil:
		t.showOpened(w, r, at, page, opened)
	default:
		w.Header().Set("Location", at.path(page.Path()))
		write(w, http.StatusSeeOther, htmlType, nil)
	}
}

// act does what a form asks for.
func (t *Tenant) act(form url.Values) error {
	switch form.Get("action") {
	case "advance":
		return t.actAdvance(form.Get("by"))
	case "goto":
		return t.actGoTo(form.Get("at"))
	case "freeze":
		t.clock.Freeze(form.Get("on") == "true")
	case "clock-reset":
		t.clock.Reset()
	case "user-create":
		return t.actCreateUser(form)
	case "user-change":
		return t.actChangeUser(form)
	case "session-end":
		return t.actEndSession(form.Get("session"))
	case "family-revoke":
		return t.actRevokeFamily(form.Get("family"))
	case "fault-preset":
		return t.actPreset(form.Get("preset"))
	case "fault-profile":
		_, err := t.failProfile(Fault{Profile: form.Get("profile")})
		return err
	case "fault-arm":
		return t.actArm(form)
	case "fault-switch":
		return t.actSwitch(form.Get("index"), form.Get("kind"))
	case "fault-clear":
		t.Disarm()
	case "key-rotate":
		return t.RotateKey()
	case "key-revoke":
		return t.RevokeKey(form.Get("kid"))
	case "journal-clear":
		t.journal.Reset()
	case "reset":
		t.Reset()
	case "login":
		t.mu.Lock()
		defer t.mu.Unlock()
		_, err := t.putSettings(settingsInput{Login: LoginMode(form.Get("mode"))})
		return err
	default:
		return fmt.Errorf("unknown action %q", clip(form.Get("action")))
	}
	return nil
}

func (t *Tenant) actAdvance(by string) error {
	d, err := time.ParseDuration(strings.ReplaceAll(by, " ", ""))
	if err != nil {
		return fmt.Errorf("%q is not a duration like 25h or 90s", clip(by))
	}
	t.clock.Advance(d)
	return nil
}

// actGoTo sets the clock to a time, or with "next" to when the next thing expires.
func (t *Tenant) actGoTo(at string) error {
	if at == "next" {
		t.mu.Lock()
		list := t.expiries(t.clock.Now())
		t.mu.Unlock()
		if len(list) == 0 {
			return errors.New("nothing expires: no one has logged in")
		}
		t.clock.Set(list[0].At)
		return nil
	}
	to, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return fmt.Errorf("%q is not a time like 2030-01-02T03:04:05Z", clip(at))
	}
	t.clock.Set(to)
	return nil
}

func (t *Tenant) actCreateUser(form url.Values) error {
	email := strings.TrimSpace(form.Get("email"))
	if !validEmail(email) {
		return fmt.Errorf("%q is not an email address", clip(email))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.st.userByLogin(email) != nil {
		return fmt.Errorf("the user %s exists", email)
	}
	_, err := t.putUser(tenant.User{Email: email, Password: form.Get("password"), Roles: form["role"]})
	return err
}

func (t *Tenant) actChangeUser(form url.Values) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.st.users[form.Get("user")]
	if u == nil {
		return fmt.Errorf("the user %s does not exist", clip(form.Get("user")))
	}
	change := map[string]any{}
	switch form.Get("set") {
	case "blocked":
		change["blocked"] = true
	case "unblocked":
		change["blocked"] = false
	case "roles":
		change["roles"] = append([]string{}, form["role"]...)
	}
	body, err := json.Marshal(change)
	if err == nil {
		_, _, err = t.patchUser(u, body)
	}
	return err
}

// actEndSession ends a session, named by its hash, as an administrator does. Refresh
// tokens stay.
func (t *Tenant) actEndSession(key string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.st.sessions {
		if hash(id) == key {
			delete(t.st.sessions, id)
			return nil
		}
	}
	return errors.New("the session has ended already")
}

func (t *Tenant) actRevokeFamily(id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.st.families[id]
	if f == nil {
		return fmt.Errorf("no refresh-token family %s", clip(id))
	}
	t.revokeFamily(f, "revoked in the console")
	f.ended = t.clock.Now()
	return nil
}

// faultPreset is a fault that the console arms by one switch.
type faultPreset struct {
	Name  string
	Text  string
	Fault Fault
}

func faultPresets() []faultPreset {
	return []faultPreset{
		{"limited", "Rate limit: the next token request gets 429", Fault{Endpoint: Token, Times: 1, Kind: FaultStatus, Status: 429}},
		{"outage", "Outage: every token request gets 503", Fault{Endpoint: Token, Kind: FaultStatus, Status: 503}},
		{"slow", "Slow: every token request takes three seconds more", Fault{Endpoint: Token, Kind: FaultDelay, Delay: "3s"}},
		{"keys", "Keys: the JWKS gets 500", Fault{Endpoint: JWKS, Kind: FaultStatus, Status: 500}},
		{"login", "Login: the next authorization request gets the error page of a 500", Fault{Endpoint: Authorize, Times: 1, Kind: FaultStatus, Status: 500}},
	}
}

// faultProfile is a button for a profile of faults.
type faultProfile struct{ Name, Text string }

func faultProfiles() []faultProfile {
	return []faultProfile{
		{"flaky", "Flaky: some requests fail or are slow, and succeed when sent again"},
		{"outage", "Outage: every request gets 503"},
		{"rate-limited", "Rate limit: five calls at once to each endpoint, then one in two seconds"},
		{"rotation-lost", "Lost rotation: the next refresh is done, and its answer is lost"},
	}
}

// consoleKinds are the kinds of faults that the form offers.
func consoleKinds() []FaultKind {
	return []FaultKind{FaultStatus, FaultDelay, FaultHang, FaultReset, FaultTruncate, FaultDrip}
}

func (t *Tenant) actPreset(name string) error {
	for _, p := range faultPresets() {
		if p.Name == name {
			_, err := t.arm(p.Fault)
			return err
		}
	}
	return fmt.Errorf("no fault is called %q", clip(name))
}

func (t *Tenant) actArm(form url.Values) error {
	f := Fault{
		Endpoint: form.Get("endpoint"), Kind: FaultKind(form.Get("kind")), Grant: form.Get("grant"), ClientID: form.Get("client_id"),
		Delay: strings.ReplaceAll(form.Get("delay"), " ", ""), AfterCommit: form.Get("after_commit") == "true",
	}
	for name, into := range map[string]*int{"status": &f.Status, "times": &f.Times} {
		if err := positive(form, name, into); err != nil {
			return err
		}
	}
	if f.Kind != FaultStatus {
		f.Status = 0
	}
	_, err := t.arm(f)
	return err
}

// actSwitch arms a fault again, or disarms it.
func (t *Tenant) actSwitch(index, kind string) error {
	i, err := strconv.Atoi(index)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil || i < 0 || i >= len(t.faults) {
		return errors.New("the fault was disarmed already")
	}
	a := t.faults[i]
	a.mu.Lock()
	defer a.mu.Unlock()
	if string(a.fault.Kind) != kind {
		return errors.New("the faults have changed; load the page again")
	}
	if a.off = !a.off; !a.off {
		a.count = 0
	}
	return nil
}
