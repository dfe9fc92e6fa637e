package tokend

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"
)

// Types of events. docs/events.md describes them.
const (
	EventRefreshed      = "refreshed"
	EventDegraded       = "degraded"
	EventRefreshFailing = "refresh_failing"
	EventLoginRequired  = "login_required"
	EventResumed        = "resumed"
	EventGrantEnding    = "grant_ending"
	EventMissed         = "missed" // events before the next one are missing
)

// Event is a change of a client's grant.
type Event struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Time       time.Time `json:"time,omitzero"`
	Client     string    `json:"client,omitempty"`
	Issuer     string    `json:"issuer,omitempty"`
	State      string    `json:"state,omitempty"`
	Generation int64     `json:"generation,omitempty"`
	Expiry     time.Time `json:"expiry,omitzero"`     // of the access token
	GrantEnds  time.Time `json:"grant_ends,omitzero"` // forecast
	Failure    *Failure  `json:"failure,omitempty"`
}

const (
	eventSilence = 45 * time.Second // without an event or a heartbeat: the connection is lost
	eventPause   = 3 * time.Second  // before the next connection
	maxEvent     = 1 << 20          // bytes
)

// Events returns the events of the clients that the key may use, after the event with
// the id after, or from now on if it is "". After a lost connection it connects again
// and continues; an event of type [EventMissed] says that some may be missing. It ends
// with an error if the first connection fails or the service rejects the key, and when
// ctx ends.
func (c *Client) Events(ctx context.Context, after string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for connected := false; ; {
			stopped, err := c.follow(ctx, &after, &connected, yield)
			var e *Error
			fatal := !connected || errors.As(err, &e) && e.Status/100 == 4
			switch {
			case stopped:
				return
			case ctx.Err() != nil:
				yield(Event{}, ctx.Err())
				return
			case fatal:
				yield(Event{}, err)
				return
			}
			t := time.NewTimer(eventPause)
			select {
			case <-t.C:
			case <-ctx.Done():
			}
			t.Stop()
		}
	}
}

// follow reads the events of one connection. stopped says that the reader wants no more.
func (c *Client) follow(ctx context.Context, after *string, connected *bool, yield func(Event, error) bool) (stopped bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(eventSilence, cancel)
	defer silence.Stop()
	body, err := c.openEvents(ctx, *after)
	if err != nil {
		return false, err
	}
	defer func() { _ = body.Close() }() // read only
	*connected = true
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		silence.Reset(eventSilence)
		data, isData := strings.CutPrefix(lines.Text(), "data: ") // one line; the others repeat its members
		if !isData {
			continue
		}
		var e Event
		if json.Unmarshal([]byte(data), &e) != nil || e.ID == "" {
			return false, c.unreadable("a stream of events")
		}
		*after = e.ID
		if !yield(e, nil) {
			return true, nil
		}
	}
	return false, unreachable(c.base, errors.Join(lines.Err(), io.ErrUnexpectedEOF))
}

// openEvents connects. Reading has no deadline but that of ctx.
func (c *Client) openEvents(ctx context.Context, after string) (io.ReadCloser, error) {
	key, err := c.key.get()
	if err != nil {
		return nil, err
	}
	for {
		body, err := c.openEventsWith(ctx, after, key)
		var e *Error
		if !errors.As(err, &e) || e.Status != http.StatusUnauthorized || !c.key.changed(key) {
			return body, err
		}
		if key, err = c.key.get(); err != nil {
			return nil, err
		}
	}
}

func (c *Client) openEventsWith(ctx context.Context, after string, key Secret) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/events", nil)
	if err != nil {
		return nil, addressError("", "invalid request URL: %v", err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key.Reveal())
	}
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	endless := *c.http
	endless.Timeout = 0
	resp, err := endless.Do(req)
	if err != nil {
		return nil, unreachable(c.base, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer func() { _ = resp.Body.Close() }() // read only
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, unreachable(c.base, err)
	}
	return nil, refusal(c.service.String(), resp.StatusCode, b)
}
