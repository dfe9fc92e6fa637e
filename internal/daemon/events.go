package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/events"
	"example.com/tokend/internal/guard"
)

const (
	heartbeat    = 15 * time.Second // without an event
	eventTimeout = 30 * time.Second // to write one
)

// events streams the events of the caller's clients as server-sent events, until the
// caller leaves, a session of the dashboard has ended, the configuration is replaced, which may change what the caller may
// see, or the service ends.
func (d *api) events(c *gin.Context) {
	ctx, cancel := context.WithCancel(c.Request.Context())
	defer cancel()
	h := c.Writer.Header()
	h["Content-Type"] = []string{"text/event-stream"}
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	if c.Request.Method == http.MethodHead {
		c.Status(http.StatusOK)
		return
	}
	s := &eventStream{
		out: c.Writer, control: http.NewResponseController(c.Writer), may: guard.CallerOf(ctx).May,
		reader: d.hub.After(c.GetHeader("Last-Event-ID")), d: d,
	}
	_ = s.control.SetReadDeadline(time.Time{}) // of the request: the stream has no end
	if s.write([]byte(": events of tokend\n\n")) != nil {
		return
	}
	for d.guard.Alive(guard.CallerOf(ctx)) && s.send(ctx) == nil {
	}
}

// eventStream is one caller of /v1/events.
type eventStream struct {
	out     gin.ResponseWriter
	control *http.ResponseController
	may     func(client string) bool
	reader  *events.Reader
	d       *api
}

// send writes the next event, or a heartbeat.
func (s *eventStream) send(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	defer context.AfterFunc(s.d.replaced, cancel)()
	defer context.AfterFunc(s.d.stopping, cancel)()
	e, err := s.reader.Next(ctx, s.may)
	switch {
	case err == nil:
		return s.write(eventFrame(e))
	case ctx.Err() == context.DeadlineExceeded: //nolint:errorlint // of ctx itself
		return s.write([]byte(": heartbeat\n\n"))
	}
	return err
}

func (s *eventStream) write(b []byte) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(eventTimeout)) // of the wall clock, like net/http's
	if _, err := s.out.Write(b); err != nil {
		return err
	}
	return s.control.Flush()
}

// eventFrame returns an event in the form of server-sent events.
func eventFrame(e events.Event) []byte {
	data, err := json.Marshal(e)
	if err != nil {
		panic(err) // it has texts and times
	}
	var b bytes.Buffer
	b.WriteString("id: " + e.ID + "\nevent: " + string(e.Kind) + "\ndata: ")
	b.Write(data) // JSON has no line breaks
	b.WriteString("\n\n")
	return b.Bytes()
}
