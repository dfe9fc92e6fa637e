package mock

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

const controlPrefix = "/_mock/"

// controls serves the control API under /_mock/, with which a test changes and
// inspects the tenant. [Tenant] has methods for the same.
func (t *Tenant) controls(w http.ResponseWriter, r *http.Request, at address) {
	if strings.HasPrefix(r.URL.Path, controlPrefix+"resource/") {
		c := &call{address: at, w: w, r: r, now: t.clock.Now(), id: t.requestID()}
		c.entry = &Entry{ID: c.id, Time: c.now, Method: clip(r.Method), Path: clip(r.URL.Path), Endpoint: "resource"}
		rec := &recorder{ResponseWriter: w}
		c.w = rec
		defer t.record(c, rec)
		r.Body = http.MaxBytesReader(rec, r.Body, maxBody)
		t.resource(c)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if why := t.refusedSite(r); why != "" {
		controlError(w, http.StatusForbidden, why)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if routedMethod(r) != http.MethodGet {
		defer t.changed()
	}
	if t.serveConsole(w, r, at) {
		return
	}
	if routedMethod(r) != http.MethodGet {
		defer t.journal.signal() // the call may have changed what the console shows
	}
	if handle, known := t.control[routedMethod(r)+" "+r.URL.Path]; known {
		handle(w, r)
	} else if !t.controlOne(w, r) && !t.controlInvitations(w, r) && !t.controlTokens(w, r, at.issuer) {
		controlError(w, http.StatusNotFound, "no "+clip(r.Method)+" "+clip(r.URL.Path)+"; GET "+controlPrefix+" lists all calls")
	}
}

// control is one call of the control API. A call without a handler has a pattern as
// its path: see controlOne and resource.
type control struct {
	call   string // method and path
	does   string // what it does, for the index
	handle http.HandlerFunc
}

// controlTable lists every call of the control API; the index is made from it.
func (t *Tenant) controlTable() []control {
	return slices.Concat([]control{
		{"GET /_mock/", "this list", t.showControls},
		{"GET /_mock/health", "whether the tenant runs", t.health},
		{"POST /_mock/reset", "returns to the start: tenant, clock, journal, faults", t.reset},
		{"GET /_mock/clock", "the tenant's time", t.showClock},
		{"POST /_mock/clock", `changes it: {"advance":"25h"}, {"set":"2030-01-02T03:04:05Z"}, {"freeze":true}`, t.changeClock},
		{"GET /_mock/requests", "the journal: ?endpoint=, grant=, client_id=, status=, after=; wait=10s&count=2 waits for two", t.showRequests},
		{"GET /_mock/events", "the journal as server-sent events, with the same filters", t.showEvents},
		{"GET /_mock/families", "refresh-token families, and why they ended", t.showFamilies},
		{"GET /_mock/state", "how many codes, sessions, tokens… the tenant keeps, and how many it dropped", t.showState},
		{"GET /_mock/mails", "the e-mails and text messages that a tenant would send, with their codes and links", t.showMails},
		{"GET /_mock/export", "the tenant file of the objects as they are now, with secrets and passwords", t.showExport},
		{"GET /_mock/ca.pem", "the CA of the TLS listener", t.showCA},
	}, t.adminTable(), t.keyTable(), []control{
		{"GET /_mock/resource/PATH", "a protected API, for any method: requires an access token for the first API and the role agent", nil},
	})
}

// controlMap returns the handlers by method and fixed path.
func (t *Tenant) controlMap() map[string]http.HandlerFunc {
	m := map[string]http.HandlerFunc{}
	for _, c := range t.controlTable() {
		if c.handle != nil {
			m[c.call] = c.handle
		}
	}
	return m
}

// showControls is GET /_mock/, the index.
func (t *Tenant) showControls(w http.ResponseWriter, _ *http.Request) {
	type call struct {
		Method string `json:"method"`
		Path   string `json:"path"`
		Does   string `json:"does"`
	}
	list := []call{}
	for _, c := range t.controlTable() {
		method, path, _ := strings.Cut(c.call, " ")
		list = append(list, call{method, path, c.does})
	}
	respondJSON(w, struct {
		Count int    `json:"count"`
		Calls []call `json:"calls"`
	}{len(list), list})
}

// refusedSite returns why a page of another site may have sent the request, or "". Such
// a page may also make its own host name resolve to this machine (DNS rebinding): its
// requests are of the same origin then, and only the name tells.
func (t *Tenant) refusedSite(r *http.Request) string {
	if !t.cfg.Public && !loopback(r.Host) {
		return "host " + clip(r.Host) + " is not a loopback name; the control API accepts others with --public only"
	}
	if err := t.crossOrigin.Check(r); err != nil || readByPage(r) {
		return "request from another site's page; the control API accepts none"
	}
	return ""
}

// readByPage reports whether a page of another site sent the request, and not a link
// that a person followed. Its browser keeps the answer from the page; this does, too.
func readByPage(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "same-origin" && site != "none" && r.Header.Get("Sec-Fetch-Mode") != "navigate"
}

// loopback reports whether the host of a request, with or without a port, names this
// machine.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") // RFC 6761 section 6.3
}

func controlError(w http.ResponseWriter, status int, what string) {
	write(w, status, jsonType, object{{"error", what}}.bytes())
}

func respondJSON(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		controlError(w, http.StatusInternalServerError, err.Error())
		return
	}
	write(w, http.StatusOK, jsonType, b)
}

// writeInputError answers a control call that is not valid.
func writeInputError(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if tooBig := new(http.MaxBytesError); errors.As(err, &tooBig) {
		status = http.StatusRequestEntityTooLarge
	}
	controlError(w, status, err.Error())
}

// decode reads one JSON value and rejects unknown members, which are typing errors.
func decode(r *http.Request, into any) error {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return decodeBytes(b, into)
}

func decodeBytes(b []byte, into any) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return plainJSON(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// plainJSON describes a value of a wrong type without the words of Go.
func plainJSON(err error) error {
	wrong := new(json.UnmarshalTypeError)
	if !errors.As(err, &wrong) {
		return err
	}
	kinds := map[reflect.Kind]string{
		reflect.String: "a string", reflect.Bool: "a boolean", reflect.Int: "a whole number", reflect.Float64: "a number", reflect.Slice: "a list",
	}
	values := map[string]string{"string": "a string", "bool": "a boolean", "number": "a number", "array": "a list", "object": "an object"}
	sent := strings.TrimPrefix(wrong.Value, "number ") // a fraction, or too large
	return fieldError(cmp.Or(wrong.Field, "the body"), "must be %s, not %s",
		cmp.Or(kinds[wrong.Type.Kind()], "an object"), cmp.Or(values[sent], sent))
}

func (t *Tenant) health(w http.ResponseWriter, _ *http.Request) {
	respondJSON(w, map[string]string{"status": "ok", "warning": "mockauth0 is a mock tenant, for tests only"})
}

// clockView is the form of /_mock/clock.
type clockView struct {
	Now    time.Time `json:"now"`
	Frozen bool      `json:"frozen"`
}

func (t *Tenant) showClock(w http.ResponseWriter, _ *http.Request) {
	setDate(w.Header(), t.clock.Now()) // after a change
	respondJSON(w, clockView{t.clock.Now(), t.clock.Frozen()})
}

// changeClock is POST /_mock/clock {"advance":"25h"}, {"set":"RFC 3339"} or {"freeze":true}.
func (t *Tenant) changeClock(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Advance string     `json:"advance"`
		Set     *time.Time `json:"set"`
		Freeze  *bool      `json:"freeze"`
	}
	err := decode(r, &in)
	var d time.Duration
	switch {
	case err != nil:
	case in.Advance == "" && in.Set == nil && in.Freeze == nil:
		err = fieldError("clock", `one of "advance", "set" and "freeze" is required`)
	case in.Set != nil && (in.Set.Before(earliest) || in.Set.After(latest)):
		err = fieldError("set", "%s is not between %d and %d", in.Set.Format(time.RFC3339), earliest.Year(), latest.Year())
	case in.Advance != "":
		if d, err = time.ParseDuration(in.Advance); err != nil {
			err = fieldError("advance", "%v", err)
		}
	}
	if err != nil {
		writeInputError(w, err)
		return
	}
	if in.Set != nil {
		t.clock.Set(*in.Set)
	}
	if in.Freeze != nil {
		t.clock.Freeze(*in.Freeze)
	}
	t.clock.Advance(d)
	t.showClock(w, r)
}

func unknownKey(v url.Values, known ...string) string {
	for k := range v {
		if !containsWord(strings.Join(known, " "), k) {
			return k
		}
	}
	return ""
}

func (t *Tenant) showFamilies(w http.ResponseWriter, _ *http.Request) {
	list := t.Families()
	respondJSON(w, struct {
		Count    int           `json:"count"`
		Families []FamilyState `json:"families"`
	}{len(list), list})
}

// showClients includes the secrets: a derived secret is shown nowhere else.
func (t *Tenant) showClients(w http.ResponseWriter, _ *http.Request) {
	list := t.Clients()
	respondJSON(w, struct {
		Count   int             `json:"count"`
		Clients []tenant.Client `json:"clients"`
	}{len(list), list})
}

func (t *Tenant) showUsers(w http.ResponseWriter, _ *http.Request) {
	list := t.Users()
	respondJSON(w, struct {
		Count int           `json:"count"`
		Users []tenant.User `json:"users"`
	}{len(list), list})
}

func (t *Tenant) reset(w http.ResponseWriter, r *http.Request) {
	t.Reset()
	t.health(w, r)
}
