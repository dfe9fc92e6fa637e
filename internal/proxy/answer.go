package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
)

// recover answers 500 for a panic. The panic value may contain headers or
// tokens, so the log has only its type and the stack.
func (r *Relay) recover(w *recorder, req *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v)
	}
	r.proxy.log.ErrorContext(req.Context(), "handler panicked", "reason", PanicText(v), "hint", "report it as a bug, with this line",
		"stack", string(debug.Stack()))
	if w.status == 0 {
		writeError(w, &answer{Status: http.StatusInternalServerError, Code: "internal", Description: "unexpected error", Hint: "see the log"})
	}
}

// PanicText describes a panic value for the log: the text of a runtime error such as a
// nil dereference, and only the type of anything else.
func PanicText(v any) string {
	if e, ok := v.(runtime.Error); ok {
		return e.Error()
	}
	return fmt.Sprintf("panic with a %T", v)
}

// answer is the relay's own answer to a request that it does not forward. The
// service's answers have these members and more.
type answer struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	Hint        string `json:"hint,omitempty"`
	Client      string `json:"client,omitempty"`
	RetryAfter  int    `json:"retry_after,omitempty"` // seconds

	Status    int    `json:"-"`
	challenge string // of a 401
}

func writeError(w http.ResponseWriter, a *answer) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(a); err != nil {
		panic(err) // texts and a number always have a JSON form
	}
	h := w.Header()
	if a.challenge != "" {
		h.Set("WWW-Authenticate", a.challenge)
	}
	if a.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(a.RetryAfter))
	}
	h.Set(ErrorHeader, a.Code)
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(a.Status)
	_, _ = w.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n"))) // the caller may be gone
}

// recorder records the status of an answer, 0 before there is one.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (w *recorder) WriteHeader(code int) {
	if code >= 200 && w.status == 0 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements [io.Writer].
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
