package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// hangups are the process's SIGHUPs. One that arrives before the command has
// chosen its meaning waits: "tokend serve" reloads its configuration, every other
// command ends.
type hangups struct {
	c    chan os.Signal
	stop context.CancelFunc // ends the process's context; nil: there are no hangups
}

// catchHangups catches SIGHUP, unless it is ignored, as under nohup(1). stop
// ends the process's context.
func catchHangups(stop context.CancelFunc) hangups {
	h := hangups{c: make(chan os.Signal, 1), stop: stop}
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(h.c, syscall.SIGHUP)
	}
	return h
}

// reloads is the annotation of a command that handles SIGHUP itself.
const reloads = "reloads"

// end makes SIGHUP end the command, unless the command reloads. As with SIGTERM, a
// second signal ends the process at once.
func (h hangups) end(cmd *cobra.Command) {
	if _, itself := cmd.Annotations[reloads]; !itself {
		h.endWith(cmd.Context())
	}
}

func (h hangups) endWith(ctx context.Context) {
	if h.stop == nil {
		return
	}
	go func() {
		select {
		case <-h.c:
			h.stop()
		case <-ctx.Done():
		}
		signal.Stop(h.c)
	}()
}

// reload makes SIGHUP reload the configuration, also under nohup(1), where SIGHUP does
// not mean that a terminal is gone.
func (h hangups) reload() {
	if h.stop != nil {
		signal.Notify(h.c, syscall.SIGHUP)
	}
}
