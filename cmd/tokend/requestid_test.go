package main

import (
	"net/http"
	"strings"
	"testing"
)

// The lines of the service and of the client about one request have its id.
func TestRequestID_InLogOfServiceAndClient(t *testing.T) {
	f := newTenant(t)
	r := serveFile(t, f, oneClient)
	if o := runTokend(t, "token", "demo"); o.code != 0 { // the refresh below must not meet that of the start
		t.Fatalf("%+v", o)
	}
	f.refuse(http.StatusBadGateway, "temporarily_unavailable")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.tcp+"/v1/clients/demo/refresh", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+canaryKey)
	req.Header.Set("X-Request-Id", "req-1")
	a, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = a.Body.Close()
	if id := a.Header.Get("X-Request-Id"); a.StatusCode == http.StatusOK || id != "req-1" {
		t.Errorf("%s with id %q", a.Status, id)
	}
	var found []string
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, " request_id=req-1\n") {
			_, msg, _ := strings.Cut(line, "msg=")
			found = append(found, strings.Fields(msg)[0])
		}
	}
	if got := strings.Join(found, " "); got != `failed "refresh` {
		t.Errorf("lines with the id: %q in\n%s", got, r.log)
	}
}
