package daemon

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// Private headers are dropped everywhere: in informational answers and trailers, too.
func TestProxy_DropsPrivateHeadersEverywhere(t *testing.T) {
	sent := make(chan http.Header, 1)
	private := []string{
		"Tokend-Error", "Tokend-Other", "Access-Control-Allow-Origin", "Alt-Svc", "Clear-Site-Data", "Refresh", "Strict-Transport-Security",
	}
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range private {
			w.Header().Set(name, "x")
			w.Header().Add("Trailer", name)
		}
		w.Header().Set("X-Kept", "1")
		w.WriteHeader(103)
		_, _ = io.Copy(w, r.Body)
		sent <- r.Trailer
		for _, name := range append(private, "Location", "Set-Cookie", "X-Kept") {
			w.Header().Set(http.TrailerPrefix+name, "x")
		}
	})
	d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), u.URL)}})
	clean := func(where string, h http.Header, more ...string) {
		t.Helper()
		for _, name := range append(private, more...) {
			if _, there := h[name]; there {
				t.Errorf("%s has %s: %q", where, name, h[name])
			}
		}
		if h.Get("X-Kept") == "" {
			t.Errorf("%s: %v", where, h)
		}
	}
	names := "Authorization, Tokend-Upstream, Cookie, Proxy-Authorization, X-Forwarded-For"
	head := "POST " + proxyPath + "/ HTTP/1.1\nHost: HOST" + auth + "\nTransfer-Encoding: chunked\nTrailer: X-Kept, " + names + "\n\n4\nbody\n0\nX-Kept: 1\n"
	for name := range strings.SplitSeq(names, ", ") {
		head += name + ": " + mainKey + "\n"
	}
	_, in := d.pipe(t, head+"\n")
	resp := response(t, in)
	if resp.StatusCode != 103 {
		t.Fatal(resp.Status)
	}
	clean("the informational answer", resp.Header)
	resp = response(t, in)
	clean("the answer", resp.Header)
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "body" {
		t.Errorf("%q, %v", b, err)
	}
	clean("the trailer", resp.Trailer, "Location", "Set-Cookie")
	if h := <-sent; len(h) != 1 || h.Get("X-Kept") != "1" || strings.Contains(u.last(t).Header.Get("Trailer"), "Auth") {
		t.Errorf("the upstream got %v", h)
	}
}

// An error answer never becomes a success.
func TestProxy_RefusesStatusBelow100(t *testing.T) {
	for _, status := range []string{"000", "099"} {
		url := hasty(t, "HTTP/1.1 "+status+" x\r\nContent-Length: 0\r\n\r\n")
		d := start(t, Config{Clients: []Client{proxied(t, newTenant(t), url)}})
		if a := d.raw(t, get(proxyPath+"/", "HOST", auth)); a.StatusCode != 502 || a.error(t) != codeUpstreamDown || strings.Contains(d.log.String(), "panic") {
			t.Errorf("%s: %d %s; %s", status, a.StatusCode, a.body, d.log)
		}
	}
}
