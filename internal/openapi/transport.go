package openapi

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// Transport sends requests by next and reports what of an exchange the document does not
// have, when the answer was read or closed. An answer that breaks off is not compared.
func (d *Document) Transport(next http.RoundTripper, report func(error)) http.RoundTripper {
	return transport{d, next, report}
}

type transport struct {
	document *Document
	next     http.RoundTripper
	report   func(error)
}

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	x := Exchange{Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery}
	sent := &recordedBody{ReadCloser: r.Body}
	if r.Body != nil {
		r = r.Clone(r.Context())
		r.Body = sent
	}
	res, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	x.Status, x.Header = res.StatusCode, res.Header
	if res.StatusCode == http.StatusSwitchingProtocols {
		return res, nil
	}
	res.Body = &answerBody{ReadCloser: res.Body, ended: func(answer []byte) {
		x.Body, x.Answer = sent.bytes(), answer
		if err := t.document.Check(x); err != nil {
			t.report(err)
		}
	}, stream: strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")}
	return res, nil
}

// answerBody keeps what is read of an answer and passes it on at its end.
type answerBody struct {
	io.ReadCloser
	read   bytes.Buffer
	ended  func(answer []byte) // nil: it was called, or never will be
	stream bool                // has no end
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Write(p[:n])
	switch {
	case err == io.EOF: //nolint:errorlint // a reader returns it itself
		b.end()
	case err != nil && !b.stream:
		b.ended = nil
	}
	return n, err
}

// Close reads the rest: an answer whose status alone is used is compared, too.
func (b *answerBody) Close() error {
	if b.stream {
		b.end()
	} else if b.ended != nil {
		_, _ = io.Copy(io.Discard, b) // an answer that breaks off is not compared
	}
	return b.ReadCloser.Close()
}

func (b *answerBody) end() {
	if b.ended != nil {
		b.ended(b.read.Bytes())
		b.ended = nil
	}
}
