package mock

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const keepAlive = 20 * time.Second // between the comments of an idle stream of events

// endpoints are the names of endpoints in the journal.
func (t *Tenant) endpoints() []string {
	names := map[string]bool{"management": true, "resource": true, "backchannel_logout": true} // not in the table
	for _, rt := range t.routes {
		names[rt.endpoint] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func checkEndpoint(name string, known []string) error {
	if name != "" && !slices.Contains(known, name) {
		return fieldError("endpoint", "%q is not one of %s", clip(name), strings.Join(known, ", "))
	}
	return nil
}

// requestQuery reads the filter of a query, which may have the parameters more, too.
func (t *Tenant) requestQuery(v url.Values, more ...string) (Query, error) {
	q := Query{Endpoint: v.Get("endpoint"), Grant: v.Get("grant"), ClientID: v.Get("client_id")}
	if err := checkEndpoint(q.Endpoint, t.endpoints()); err != nil {
		return q, err
	}
	for name, into := range map[string]*int{"status": &q.Status, "after": &q.After} {
		if err := positive(v, name, into); err != nil {
			return q, err
		}
	}
	if bad := unknownKey(v, append(more, "endpoint", "grant", "client_id", "status", "after")...); bad != "" {
		return q, fieldError("requests", "unknown parameter %s", clip(bad))
	}
	return q, nil
}

func positive(v url.Values, name string, into *int) error {
	s := v.Get(name)
	if s == "" {
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return fieldError(name, "%q is not a number", clip(s))
	}
	*into = n
	return nil
}

// waitQuery reads wait and count, which say how long to wait for how many entries.
func waitQuery(v url.Values) (wait time.Duration, count int, err error) {
	if count = 1; v.Has("count") {
		err = positive(v, "count", &count)
	}
	switch {
	case err != nil:
	case !v.Has("wait") && v.Has("count"):
		err = fieldError("count", "has no effect without wait=, such as wait=10s")
	case v.Has("wait"):
		if wait, err = time.ParseDuration(v.Get("wait")); err != nil || wait < 0 {
			err = fieldError("wait", "%q is not a duration like 10s", clip(v.Get("wait")))
		}
	}
	return wait, count, err
}

// requestsView is the form of /_mock/requests.
type requestsView struct {
	Count    int     `json:"count"`
	Requests []Entry `json:"requests"`
	Dropped  int     `json:"dropped"` // entries after after= that the journal no longer has
	Error    string  `json:"error,omitempty"`
}

// showRequests is GET /_mock/requests. With wait= it answers as soon as there are
// count= entries, or 504 if there are not in time.
func (t *Tenant) showRequests(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	q, err := t.requestQuery(v, "wait", "count")
	wait, count, waitErr := waitQuery(v)
	if err == nil {
		err = waitErr
	}
	if err != nil {
		writeInputError(w, err)
		return
	}
	status, view := http.StatusOK, requestsView{}
	if v.Has("wait") {
		ctx, cancel := context.WithTimeout(r.Context(), wait)
		defer cancel()
		if list, late := t.journal.Wait(ctx, q, count); late != nil {
			status = http.StatusGatewayTimeout
			view.Error = fmt.Sprintf("%d of %d requests within %s", len(list), count, wait)
		}
	}
	now := t.journal.watch(q)
	view.Count, view.Requests, view.Dropped = len(now.list), now.list, now.dropped
	b, err := json.Marshal(view)
	if err != nil {
		controlError(w, http.StatusInternalServerError, err.Error())
		return
	}
	write(w, status, jsonType, b)
}

// showEvents is GET /_mock/events: a stream of server-sent events until the client goes.
// "request" is an entry of the journal, "dropped" the number of entries that are missing
// before the next one, and "change" says that something else changed: the clock, a fault,
// a user. Last-Event-ID, or after=, continues an interrupted stream.
func (t *Tenant) showEvents(w http.ResponseWriter, r *http.Request) {
	q, err := t.eventQuery(r)
	if err != nil {
		writeInputError(w, err)
		return
	}
	signals := t.journal.watch(q).signals // before the client knows that the stream is open
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	s := &eventStream{w: w, flush: http.NewResponseController(w).Flush}
	idle := time.NewTicker(keepAlive)
	defer idle.Stop()
	s.text(": the journal of a mock tenant\n\n")
	for s.err == nil {
		v := t.journal.watch(q)
		s.send(v.list, v.dropped)
		if v.signals != signals {
			s.event("change", 0, []byte("{}"))
		}
		signals, q.After = v.signals, v.last
		select {
		case <-v.changed:
		case <-idle.C:
			s.text(":\n\n")
		case <-r.Context().Done():
			return
		case <-t.closed:
			return
		}
	}
}

// eventQuery reads the filter of a stream and where it begins: after Last-Event-ID,
// after= or now. A higher number than there is was of an earlier run of the tenant.
func (t *Tenant) eventQuery(r *http.Request) (Query, error) {
	v := r.URL.Query()
	q, err := t.requestQuery(v)
	newest := t.journal.watch(q).last
	id := r.Header.Get("Last-Event-ID")
	switch {
	case err != nil:
	case id != "":
		err = positive(url.Values{"Last-Event-ID": {id}}, "Last-Event-ID", &q.After)
	case !v.Has("after"):
		q.After = newest
	}
	if q.After > newest {
		q.After = 0
	}
	return q, err
}

// eventStream writes server-sent events until the first error.
type eventStream struct {
	w     http.ResponseWriter
	flush func() error
	err   error
}

func (s *eventStream) send(list []Entry, dropped int) {
	if dropped > 0 {
		s.event("dropped", 0, []byte(`{"count":`+strconv.Itoa(dropped)+`}`))
	}
	for i := range list {
		b, err := json.Marshal(list[i])
		if err != nil {
			s.err = err
			return
		}
		s.event("request", list[i].Number, b)
	}
}

func (s *eventStream) event(name string, id int, data []byte) {
	text := "event: " + name + "\ndata: " + string(data) + "\n\n"
	if id > 0 {
		text = "id: " + strconv.Itoa(id) + "\n" + text
	}
	s.text(text)
}

func (s *eventStream) text(text string) {
	if s.err != nil {
		return
	}
	if _, s.err = s.w.Write([]byte(text)); s.err == nil {
		s.err = s.flush()
	}
}
