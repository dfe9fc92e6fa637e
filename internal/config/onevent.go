package config

import (
	"net/netip"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// OnEvent is where events are delivered to: a command or a webhook; the zero value:
// nowhere.
type OnEvent struct {
	Command []string
	Env     []string // of the command
	URL     string
	KeyFile string           // signs the requests to URL
	Types   []flow.EventKind // nil: all but refreshed

	GrantEnding time.Duration // before the end of a grant; 0: the default
}

// readOnEvent reads on_event of the file.
func (l *loader) readOnEvent(s onEventSchema) OnEvent {
	o := OnEvent{Command: s.Command, URL: s.URL, KeyFile: s.KeyFile}
	var ok bool
	if o.GrantEnding, ok = duration(s.GrantEnding); !ok {
		l.add("on_event.grant_ending", durationHint, "on_event.grant_ending %q is not a duration", s.GrantEnding)
	}
	known := choices(fieldsOf[onEventSchema](), "types")
	for _, t := range s.Types {
		if !slices.Contains(known, t) {
			l.add("on_event.types", didYouMean(t, known)+"one of "+strings.Join(known, ", "), "on_event.types has the unknown type %q", t)
		}
		o.Types = append(o.Types, flow.EventKind(t))
	}
	switch {
	case len(s.Command) > 0 && s.URL != "":
		l.add("on_event.url", "set one of them", "both on_event.command and on_event.url are set")
	case len(s.Command) > 0:
		o.Env = HookEnvironment(l.env.Environ())
		if _, err := exec.LookPath(s.Command[0]); err != nil {
			l.add("on_event.command", "name a program and its arguments as a list", "on_event.command: %v", err)
		}
	case s.URL != "":
		l.checkWebhook(s)
	case s.KeyFile != "" || s.Types != nil:
		l.add("on_event", "set on_event.command or on_event.url", "on_event has neither a command nor a URL")
	}
	return o
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// checkWebhook reports what is wrong with the URL and the key of a webhook.
func (l *loader) checkWebhook(s onEventSchema) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		l.add("on_event.url", "use an https:// URL without a user; http:// is for this machine only", "on_event.url is not the URL of a webhook")
	}
	if s.KeyFile == "" {
		l.add("on_event.key_file", "openssl rand -hex 32 makes a key", "on_event.key_file is missing: the requests of a webhook are signed")
		return
	}
	if _, err := ReadSecret(s.KeyFile); err != nil {
		l.add("on_event.key_file", hint.Of(err), "on_event.key_file: %v", err)
	}
}
