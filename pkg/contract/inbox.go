package contract

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	logoutWait = 5 * time.Second // Auth0 waits as long for the client's answer
	quietTime  = time.Second     // after which no logout token is expected any more
)

// inbox is a listener on loopback for the logout tokens of one runner.
type inbox struct {
	server *http.Server
	url    string
	done   chan struct{}

	mu    sync.Mutex
	boxes map[string]chan delivery // by path, which each scene has its own
}

// delivery is one POST to the inbox.
type delivery struct{ token, problem string }

func openInbox() (*inbox, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	in := &inbox{url: "http://" + l.Addr().String(), done: make(chan struct{}), boxes: map[string]chan delivery{}}
	in.server = &http.Server{Handler: in, ReadHeaderTimeout: logoutWait}
	go func() { defer close(in.done); _ = in.server.Serve(l) }()
	return in, nil
}

// close ends the listener; a nil inbox has none.
func (in *inbox) close() {
	if in != nil {
		_ = in.server.Close()
		<-in.done
	}
}

func (in *inbox) box(path string) chan delivery {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.boxes[path] == nil {
		in.boxes[path] = make(chan delivery, 8)
	}
	return in.boxes[path]
}

// ServeHTTP implements http.Handler.
func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	d := delivery{}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch err := r.ParseForm(); {
	case r.Method != http.MethodPost:
		d.problem = "the method is " + clip(r.Method) + ", not POST"
	case kind != formType:
		d.problem = "the content type is " + clip(kind) + ", not " + formType
	case err != nil:
		d.problem = "the body is not form-urlencoded"
	}
	d.token = r.PostForm.Get("logout_token")
	select {
	case in.box(r.URL.Path) <- d:
	default: // more than anyone expects
	}
}

// openInbox sets {{backchannel_url}}.
func (s *scene) openInbox() error {
	if s.inbox == nil {
		in, err := openInbox()
		if err != nil {
			return err
		}
		s.runner.inbox = in
	}
	s.vars["backchannel_url"] = s.inbox.url + "/" + randomText()
	return nil
}

func (s *scene) logoutBox() chan delivery {
	return s.inbox.box(strings.TrimPrefix(s.vars["backchannel_url"], s.inbox.url))
}

// logout_token:PROFILE: the client gets one POST with a logout token of this profile,
// whose sid and sub are those of {{id_token}}.
func mustGetLogoutToken(ctx context.Context, s *scene, profileName string) error {
	wait, cancel := context.WithTimeout(ctx, logoutWait)
	defer cancel()
	select {
	case <-wait.Done():
		return fmt.Errorf("no logout token within %s", logoutWait)
	case d := <-s.logoutBox():
		switch {
		case d.problem != "":
			return errors.New(d.problem)
		case d.token == "":
			return errors.New("the POST has no logout_token")
		}
		return s.checkLogoutToken(ctx, d.token, profileName)
	}
}

func (s *scene) checkLogoutToken(ctx context.Context, token, profileName string) error {
	s.red.hide("logout_token", token)
	p, known := s.data.common.JWT[profileName]
	if !known {
		return fmt.Errorf("no profile %q", profileName)
	}
	m := &match{scene: s, got: &answer{}}
	m.matchJWT(ctx, "logout_token", token, p, nil)
	got, want := payloadOf(token), payloadOf(s.vars["id_token"])
	for _, claim := range []string{"sub", "sid"} {
		if got.text(claim) != want.text(claim) {
			m.differ("logout_token.%s: expected that of the ID token", claim)
		}
	}
	if len(m.diff) > 0 {
		return errors.New(strings.Join(m.diff, "; "))
	}
	return nil
}

// no_logout_token: the client gets none.
func mustGetNoLogoutToken(ctx context.Context, s *scene, _ string) error {
	wait, cancel := context.WithTimeout(ctx, quietTime)
	defer cancel()
	select {
	case <-wait.Done():
		return ctx.Err()
	case <-s.logoutBox():
		return errors.New("a client to which the user did not log in got a logout token")
	}
}
