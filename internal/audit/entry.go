package audit

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// Entry is what one request got, or was refused. It has no token, no secret and no
// query.
type Entry struct {
	Time    time.Time
	Action  string // "token", "login", "proxy", …
	Caller  string // name of the API key; "socket" for the service's user on its socket
	Subject string // of the caller's token; "" without one
	Peer    *Peer  // the process behind a unix socket; nil: none
	Remote  string // address of a caller of another machine

	Client, Audience   string
	File               string // that the token is written to
	Method, Host, Path string // of a proxied request, at its upstream

	Status    int    // of the answer
	Error     string // the code of tokend's own error answers
	RequestID string
}

// Peer is the process at the other end of a unix socket when it connected.
type Peer struct{ UID, GID, PID int }

// maxText bounds a text of an entry, in bytes: the caller chooses path and audience.
const maxText = 2048

// second is the text of the second that was formatted last: entries come in bursts, and a
// date costs as much as the rest of an entry.
type second struct {
	unix int64
	text []byte // 2006-01-02T15:04:05.
}

// appendTime appends a time in UTC, to the millisecond.
func (s *second) appendTime(b []byte, t time.Time) []byte {
	if unix := t.Unix(); unix != s.unix || s.text == nil {
		s.unix, s.text = unix, t.UTC().AppendFormat(s.text[:0], "2006-01-02T15:04:05.")
	}
	const digits = "0123456789"
	ms := t.Nanosecond() / int(time.Millisecond)
	return append(append(b, s.text...), digits[ms/100], digits[ms/10%10], digits[ms%10], 'Z')
}

// appendTo appends the entry as a line of JSON.
func (e *Entry) appendTo(b []byte, s *second) []byte {
	b = append(b, `{"time":"`...)
	b = s.appendTime(b, e.Time)
	b = append(b, `","action":`...)
	b = appendText(b, e.Action)
	b = appendMember(b, "caller", e.Caller)
	b = appendMember(b, "subject", e.Subject)
	if e.Peer != nil {
		b = strconv.AppendInt(append(b, `,"uid":`...), int64(e.Peer.UID), 10)
		b = strconv.AppendInt(append(b, `,"pid":`...), int64(e.Peer.PID), 10)
	}
	b = appendMember(b, "remote", e.Remote)
	b = appendMember(b, "client", e.Client)
	b = appendMember(b, "audience", e.Audience)
	b = appendMember(b, "file", e.File)
	b = appendMember(b, "method", e.Method)
	b = appendMember(b, "host", e.Host)
	b = appendMember(b, "path", e.Path)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(e.Status), 10)
	b = appendMember(b, "error", e.Error)
	b = appendMember(b, "request_id", e.RequestID)
	return append(b, '}', '\n')
}

func appendMember(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	return appendText(b, value)
}

// appendText appends a JSON string.
func appendText(b []byte, s string) []byte {
	if len(s) > maxText {
		cut := maxText
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendQuoted(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendQuoted(b []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always has a JSON form
	}
	return append(b, quoted...)
}
