package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// Target is where events are delivered to: a command or a webhook.
type Target struct {
	Command []string // run for each event, with the event as JSON on its standard input
	Env     []string // of the command: nothing secret

	URL string                      // gets a POST for each event
	Key func() (flow.Secret, error) // signs its body; called for each event, so that the key can be replaced

	Types []flow.EventKind // nil: all but refreshed
}

const (
	queued       = 1000             // events that wait
	eventTime    = 10 * time.Minute // to deliver an event, with every retry
	attemptTime  = 30 * time.Second
	commandGrace = 2 * time.Second
	retryMin     = time.Second
	retryMax     = time.Minute
)

// ErrDropped is the reason of an event that was not delivered because too many wait.
var ErrDropped = hint.Errorf("check what the log says about on_event", "%d events wait to be delivered", queued)

// Deliverer delivers events to a target, one after the other and in their order.
type Deliverer struct {
	target Target
	http   *http.Client
	now    func() time.Time
	log    *slog.Logger
	queue  chan Event

	// Lost is called for each event that was not delivered, with the reason, which is
	// [ErrDropped] if too many waited; nil: none. Set it before the first event.
	Lost func(reason error)
}

// NewDeliverer returns a deliverer. It delivers nothing until [Deliverer.Run].
func NewDeliverer(t Target, now func() time.Time, log *slog.Logger) *Deliverer {
	return &Deliverer{
		target: t, now: now, log: log, queue: make(chan Event, queued),
		http: &http.Client{Transport: transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// transport returns a transport of its own, whose connections end with the deliverer.
func transport() *http.Transport {
	return &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: attemptTime, IdleConnTimeout: time.Minute}
}

// Add delivers an event later. It does not block: if too many wait, the event is
// dropped and the log says so.
func (d *Deliverer) Add(e Event) {
	if !d.wants(e.Kind) {
		return
	}
	select {
	case d.queue <- e:
	default:
		d.failed(e, ErrDropped)
	}
}

func (d *Deliverer) wants(kind flow.EventKind) bool {
	if d.target.Types == nil {
		return kind != flow.EventRefreshed
	}
	for _, k := range d.target.Types {
		if k == kind {
			return true
		}
	}
	return false
}

// Run delivers events until ctx ends; then it stops the delivery that runs.
func (d *Deliverer) Run(ctx context.Context) {
	defer d.http.CloseIdleConnections()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-d.queue:
			if err := d.deliver(ctx, e); err != nil && ctx.Err() == nil {
				d.failed(e, err)
			}
		}
	}
}

func (d *Deliverer) failed(e Event, err error) {
	if d.Lost != nil {
		d.Lost(err)
	}
	advice := hint.Of(err)
	if advice == "" {
		advice = "check on_event of the configuration"
	}
	d.log.Error("an event was not delivered", "type", e.Kind, "client", e.Client, "id", e.ID, "reason", err, "hint", advice)
}

// deliver tries to deliver an event until it succeeds, cannot succeed, or its time is
// over.
func (d *Deliverer) deliver(ctx context.Context, e Event) error {
	ctx, cancel := context.WithTimeout(ctx, eventTime)
	defer cancel()
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		var again bool
		if again, err = d.attempt(ctx, e, body); err == nil || !again {
			return err
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
	}
}

// attempt tries once, and reports whether another attempt may succeed.
func (d *Deliverer) attempt(ctx context.Context, e Event, body []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	if len(d.target.Command) > 0 {
		return true, d.run(ctx, body)
	}
	return d.post(ctx, e, body)
}

// run runs the command.
func (d *Deliverer) run(ctx context.Context, body []byte) error {
	cmd := exec.CommandContext(ctx, d.target.Command[0], d.target.Command[1:]...) //nolint:gosec // the configuration names it
	cmd.Env = append([]string{}, d.target.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(body), io.Discard, io.Discard
	cmd.WaitDelay = commandGrace
	err := cmd.Run()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("stopped after %s", attemptTime)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", d.target.Command[0], err)
	}
	return nil
}

// Headers of a webhook's request. docs/events.md says how to check them.
const (
	headerID        = "Tokend-Event-Id"
	headerTimestamp = "Tokend-Timestamp"
	headerSignature = "Tokend-Signature"
)

// post sends the event to the webhook.
func (d *Deliverer) post(ctx context.Context, e Event, body []byte) (again bool, err error) {
	key, err := d.target.Key()
	if err != nil {
		return true, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.target.URL, bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("the webhook of on_event: %w", withoutURL(err))
	}
	at := strconv.FormatInt(d.now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(headerID, e.ID)
	req.Header.Set(headerTimestamp, at)
	req.Header.Set(headerSignature, "v1="+Sign(key, at, body))
	r, err := d.http.Do(req)
	if err != nil {
		return true, fmt.Errorf("the webhook of on_event: %w", withoutURL(err))
	}
	_, _ = io.CopyN(io.Discard, r.Body, 4<<10) // so that the connection can be reused
	_ = r.Body.Close()                         // read only
	switch {
	case r.StatusCode/100 == 2:
		return false, nil
	case r.StatusCode >= 500 || r.StatusCode == http.StatusTooManyRequests || r.StatusCode == http.StatusRequestTimeout:
		again = true
	}
	return again, hint.Errorf("check on_event.url and what its server logs", "the webhook answered %d", r.StatusCode)
}

// withoutURL returns the reason of a failed request without its URL, which may be secret.
func withoutURL(err error) error {
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// Sign returns the signature of a webhook's body: HMAC-SHA256, in hexadecimal digits, of
// the timestamp, a dot and the body.
func Sign(key flow.Secret, timestamp string, body []byte) string {
	m := hmac.New(sha256.New, []byte(key.Reveal()))
	_, _ = m.Write([]byte(timestamp + "."))
	_, _ = m.Write(body)
	return hex.EncodeToString(m.Sum(nil))
}
