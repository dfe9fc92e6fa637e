package openapi

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

const token = `{"access_token":"a","token_type":"Bearer","expires_in":1,"expires_at":"2026-01-02T03:04:05Z","scope":"","audience":"","client":"demo","min_validity_satisfied":true}`

func TestCheck_ReportsWhatTheDocumentDoesNotHave(t *testing.T) {
	d, err := Load(filepath.Join("..", "..", "docs", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const path = "/v1/clients/demo/token"
	json := http.Header{"Content-Type": {"application/json"}}
	failed := http.Header{"Content-Type": {"application/json"}, errorHeader: {"login_required"}}
	stream := http.Header{"Content-Type": {"text/event-stream"}}
	for name, c := range map[string]struct {
		x    Exchange
		want string // a part of the error; "": no error
	}{
		"a token":                {Exchange{Path: path, Status: 200, Header: json, Answer: []byte(token)}, ""},
		"an unknown member":      {Exchange{Path: path, Status: 200, Header: json, Answer: []byte(strings.Replace(token, "{", `{"more":1,`, 1))}, "more"},
		"a wrong type":           {Exchange{Path: path, Status: 200, Header: json, Answer: []byte(strings.Replace(token, `"expires_in":1`, `"expires_in":"1"`, 1))}, "expires_in"},
		"a missing member":       {Exchange{Path: path, Status: 200, Header: json, Answer: []byte(strings.Replace(token, `"scope":"",`, "", 1))}, "scope"},
		"no time":                {Exchange{Path: path, Status: 200, Header: json, Answer: []byte(strings.Replace(token, "2026-", "26-", 1))}, "expires_at"},
		"an unknown status":      {Exchange{Path: path, Status: 418, Header: json, Answer: []byte(token)}, "418"},
		"the status of a HEAD":   {Exchange{Method: "HEAD", Path: path, Status: 418}, "status"},
		"a HEAD":                 {Exchange{Method: "HEAD", Path: path, Status: 200, Header: json}, ""},
		"an unknown type":        {Exchange{Path: path, Status: 200, Header: http.Header{"Content-Type": {"text/csv"}}, Answer: []byte("a")}, "text/csv"},
		"an unknown parameter":   {Exchange{Path: path, Query: "more=1", Status: 200, Header: json, Answer: []byte(token)}, "more"},
		"a refused parameter":    {Exchange{Path: path, Query: "more=1", Status: 400, Header: json, Answer: []byte(`{"error":"invalid_request","error_description":"no"}`)}, ""},
		"an unknown request":     {Exchange{Method: "POST", Path: "/v1/clients/demo/login", Body: []byte(`{"more":1}`), Status: 200, Header: json, Answer: []byte(`{"client":"demo","issuer":"i","state":"ready","generation":1}`)}, "more"},
		"a code of no operation": {Exchange{Path: path, Status: 409, Header: json, Answer: []byte(`{"error":"teapot","error_description":"no"}`)}, "error"},
		"another status's code":  {Exchange{Path: path, Status: 409, Header: json, Answer: []byte(`{"error":"internal","error_description":"no"}`)}, "error"},
		"an unknown path":        {Exchange{Path: "/v1/more", Status: 200, Header: json, Answer: []byte(`{}`)}, "path"},
		"an unknown path's 404":  {Exchange{Path: "/v1/more", Status: 404, Header: json, Answer: []byte(`{"error":"not_found","error_description":"no","more":1}`)}, "more"},
		"an event":               {Exchange{Path: "/v1/events", Status: 200, Header: stream, Answer: []byte("id: 1\ndata: {\"id\":\"1\",\"type\":\"missed\"}\n\n")}, ""},
		"an unknown event":       {Exchange{Path: "/v1/events", Status: 200, Header: stream, Answer: []byte("data: {\"id\":\"1\",\"type\":\"more\"}\n\n")}, "type"},
		"an upstream's answer":   {Exchange{Path: "/v1/clients/demo/proxy/a/b", Status: 418, Header: json, Answer: []byte(`{}`)}, ""},
		"the proxy's answer":     {Exchange{Path: "/v1/clients/demo/proxy/a/b", Status: 409, Header: failed, Answer: []byte(`{}`)}, "error"},
		"a page":                 {Exchange{Path: "/dashboard/audit", Status: 200}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.x.Method == "" {
				c.x.Method = "GET"
			}
			err := d.Check(c.x)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// The transport of net/http may read a request's body after it has returned the answer.
func TestTransport_BodyReadAfterTheAnswer(t *testing.T) {
	d, err := Load(filepath.Join("..", "..", "docs", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var reported []error
	ended := make(chan struct{})
	next := roundTripper(func(r *http.Request) (*http.Response, error) {
		go func() {
			defer close(ended)
			_, _ = io.Copy(io.Discard, r.Body)
		}()
		return &http.Response{StatusCode: 418, Header: http.Header{}, Body: http.NoBody}, nil
	})
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://127.0.0.1/v1/clients/demo/login", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := d.Transport(next, func(err error) { reported = append(reported, err) }).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	<-ended
	if len(reported) != 1 {
		t.Errorf("reported %v, want the status once", reported)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
