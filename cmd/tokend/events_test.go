package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A refresh that fails is an event: at the command of on_event, and for "tokend events".
func TestEvents_ReachCommandAndFollower(t *testing.T) {
	f := newTenant(t)
	r := serveFile(t, f, oneClient+"on_event: {command: [sh, -c, 'cat >>HOME/out']}\n")
	if o := runTokend(t, "token", "demo"); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	ctx, stop := context.WithCancel(t.Context())
	out := &syncBuffer{}
	p := program{stdin: strings.NewReader(""), stdout: out, stderr: out}
	ended := make(chan int, 1)
	go func() { ended <- p.run(ctx, []string{"events", "--format", "json"}) }()
	f.refuse(http.StatusUnauthorized, "invalid_client")
	until(t, func() error { // the follower may connect later
		_ = runTokend(t, "refresh", "demo")
		if text := out.String(); !strings.Contains(text, `"type":"refresh_failing"`) {
			f.answerAgain()
			_ = runTokend(t, "refresh", "demo")
			f.refuse(http.StatusUnauthorized, "invalid_client")
			return fmt.Errorf("tokend events printed %q:\n%s", text, r.log)
		}
		return nil
	})
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("tokend events ended with %d: %s", code, out)
	}
	if strings.Contains(out.String(), "\n\n") {
		t.Errorf("an event is not one line: %q", out)
	}
	until(t, func() error {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(r.path), "out"))
		if err == nil && !strings.Contains(string(b), `"type":"refresh_failing"`) {
			err = fmt.Errorf("the command got %q", b)
		}
		return err
	})
	noCanary(t, "events", out.String())
	noCanary(t, "log", r.log.String())
}

// answerAgain makes the tenant answer as it did before refuse.
func (f *tenant) answerAgain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = nil
}
