package openapi

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// service answers as tokend does, and for client more with a member that is not documented.
func service(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		answer := token
		if strings.Contains(r.URL.Path, "more") {
			answer = strings.Replace(token, "{", `{"more":1,`, 1)
		}
		if strings.Contains(r.URL.Path, "broken") {
			w.Header().Set("Content-Length", "1000")
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s
}

func documentOfTests(t *testing.T) *Document {
	t.Helper()
	d, err := Load(filepath.Join("..", "..", "docs", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestTransport_ComparesAnswers: whether the answer is read or only closed; one that breaks
// off is not compared.
func TestTransport_ComparesAnswers(t *testing.T) {
	s, d := service(t), documentOfTests(t)
	for client, want := range map[string]int{"demo": 0, "more": 1, "broken": 0} {
		for _, read := range []bool{true, false} {
			var reported []error
			c := http.Client{Transport: d.Transport(http.DefaultTransport, func(err error) { reported = append(reported, err) })}
			res, err := c.Get(s.URL + "/v1/clients/" + client + "/token") //nolint:noctx // of this process
			if err != nil {
				t.Fatal(err)
			}
			if read {
				_, _ = io.ReadAll(res.Body)
			}
			_ = res.Body.Close()
			if len(reported) != want {
				t.Errorf("%s, read %v: %v", client, read, reported)
			}
		}
	}
}

// TestRelay_ComparesEveryExchangeOfAConnection: the relay changes nothing, and also notices
// a deviation after the first exchange.
func TestRelay_ComparesEveryExchangeOfAConnection(t *testing.T) {
	s, d := service(t), documentOfTests(t)
	for last, want := range map[string]string{"demo": "", "more": `"more"`, "broken": ""} {
		r, err := d.Relay(strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", "127.0.0.1:"+r.Port()) //nolint:noctx // of this process
		if err != nil {
			t.Fatal(err)
		}
		answers := bufio.NewReader(conn)
		for _, client := range []string{"demo", last} {
			_, _ = fmt.Fprintf(conn, "GET /v1/clients/%s/token HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", client)
			res, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(res.Body); !strings.HasSuffix(string(b), strings.TrimPrefix(token, "{")) || err != nil && client != "broken" {
				t.Errorf("%s: %s %v", client, b, err)
			}
			_ = res.Body.Close()
		}
		_ = conn.Close()
		if err := r.Close(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), "more") {
			t.Errorf("%s: got %v, want %s", last, err, want)
		}
	}
}
