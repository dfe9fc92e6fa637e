package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"example.com/tokend/internal/config"
	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/tokend"
)

// The classes of what only the command line meets.
const (
	classNoService flow.Class = "service_unreachable"
	classKey       flow.Class = "unauthorized"
)

// doorPatience is how long the service may take for a word.
const doorPatience = 5 * time.Second

// running is what the service has told.
type running struct {
	door    *service // one that answers; nil: none
	needKey *service // the listener, when it answers: its callers need a key
	version string
	listed  bool // the clients are known
	clients map[string]tokend.Status
}

// door is a way to the service.
type door struct {
	check, addr string
	service     service
	keyed       bool
}

// doors are the ways that the environment names.
func (d *doctor) doors() ([]door, error) {
	if addr := os.Getenv(addrVariable); addr != "" {
		s, err := locateService()
		return []door{{"address", addr, s, !strings.HasPrefix(addr, "unix:")}}, err
	}
	at, err := tokend.Find(locate())
	if err != nil {
		return nil, exitFrom(err)
	}
	var doors []door
	if path := d.settings.Socket; path != config.Off && path != "" {
		at.Addrs = []string{"unix:" + path}
		s, err := serviceAt(at)
		if err != nil {
			return nil, err
		}
		doors = append(doors, door{"socket", path, s, false})
	}
	if listen := d.settings.Listen; listen != config.Off {
		if _, port, err := config.Loopback(listen); err == nil && port != 0 {
			at.Addrs = []string{"http://" + listen}
			s, err := serviceAt(at)
			if err != nil {
				return nil, err
			}
			doors = append(doors, door{"listener", listen, s, true})
		}
	}
	return doors, nil
}

// checkDoors asks at each way whether tokend is behind it.
func (d *doctor) checkDoors(ctx context.Context) []flow.Finding {
	doors, err := d.doors()
	if err != nil {
		return badError("address", flow.ClassConfig, err)
	}
	var found []flow.Finding
	var silent []string
	for _, door := range doors {
		f, answers := d.knock(ctx, door)
		if answers || f.Result == flow.ResultProblem {
			found = append(found, f)
		} else {
			silent = append(silent, door.addr)
		}
	}
	where := strings.Join(silent, " and ")
	switch {
	case len(silent) == 0:
	case d.running.door != nil:
		found = append(found, warn("service", "tokend runs, but nothing answers at "+where, "start it with the same TOKEND_SOCKET and TOKEND_LISTEN as this command has")...)
	case os.Getenv(addrVariable) != "":
		found = append(found, bad("service", classNoService, "nothing answers at "+where, "start tokend serve there, or correct TOKEND_ADDR")...)
	case len(found) == 0:
		found = append(found, warn("service", "tokend does not run: nothing answers at "+where, "start it: tokend serve")...)
	}
	if len(found) == 0 {
		return skip("service", "where it listens is settled at its start")
	}
	return found
}

// knock asks one way. Silence is a warning of nobody's there.
func (d *doctor) knock(ctx context.Context, at door) (f flow.Finding, answers bool) {
	ctx, cancel := context.WithTimeout(ctx, doorPatience)
	defer cancel()
	defer at.service.Close()
	version, err := at.service.Health(ctx)
	switch {
	case err == nil:
		if d.running.door = &at.service; at.keyed {
			d.running.needKey = &at.service
		}
		d.running.version = version
		return good(at.check, "tokend answers at "+at.addr)[0], true
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return warn(at.check, "", "")[0], false
	case errors.Is(err, tokend.ErrForeign):
		return bad(at.check, classNoService, "what listens at "+at.addr+" is another user's, and is shown no key", "stop that program, or set TOKEND_LISTEN to another port; if its tokend is meant, set TOKEND_ADDR")[0], false
	case errors.Is(err, fs.ErrPermission):
		return bad(at.check, classNoService, at.addr+" is closed to this user", "run this as the user of the service: the socket is for that one alone")[0], false
	case errors.Is(err, context.DeadlineExceeded):
		return bad(at.check, classNoService, "what listens at "+at.addr+" does not answer", "look whether it is tokend, and restart it")[0], false
	}
	hint := "stop that program, or set TOKEND_LISTEN to another port, for the service and its callers"
	if at.check != "listener" {
		hint = "correct the address: TOKEND_ADDR, TOKEND_SOCKET"
	}
	return bad(at.check, classNoService, "what answers at "+at.addr+" is not tokend", hint)[0], false
}

// checkCallerKey asks as a caller does, with the key that the other commands
// would send.
func (d *doctor) checkCallerKey(ctx context.Context) []flow.Finding {
	const check = "caller key"
	if d.running.door == nil {
		return skip(check, "tokend does not run")
	}
	if d.running.needKey == nil {
		return d.list(ctx, d.running.door, skip(check, "the socket needs none"))
	}
	s := d.running.needKey
	key, err := s.Key()
	if err != nil {
		return badError(check, flow.ClassConfig, exitFrom(err))
	}
	if key == "" {
		return warn(check, "there is none for callers of the listener", "set TOKEND_API_KEY or TOKEND_API_KEY_FILE to the key of the service")
	}
	return d.list(ctx, s, good(check, "the service takes it"))
}

// list asks for the clients' state; fine is the finding when that works.
func (d *doctor) list(ctx context.Context, s *service, fine []flow.Finding) []flow.Finding {
	ctx, cancel := context.WithTimeout(ctx, doorPatience)
	defer cancel()
	defer s.Close()
	all, err := s.Clients(ctx)
	err = exitFrom(err)
	switch {
	case exitCode(err) == exitNoPerm:
		return bad(fine[0].Check, classKey, "the service does not take this key", "set TOKEND_API_KEY or TOKEND_API_KEY_FILE to the key of the service")
	case exitCode(err) == exitProtocol:
		return bad(fine[0].Check, classNoService, "its answer is not a list of clients", "use the command line of the service's version")
	case err != nil:
		return badError(fine[0].Check, classNoService, err)
	}
	d.running.listed, d.running.clients = true, map[string]tokend.Status{}
	for _, c := range all {
		d.running.clients[c.Client] = c
	}
	return fine
}

// checkVersion compares this program with the one that runs.
func (d *doctor) checkVersion(context.Context) []flow.Finding {
	const check = "version"
	own, theirs := buildVersion(), d.running.version
	switch {
	case d.running.door == nil:
		return skip(check, "tokend does not run")
	case own == theirs:
		return good(check, own)
	}
	return warn(check, fmt.Sprintf("this is %s, and the service is %s", own, cmp.Or(theirs, "older")), "restart the service after an update")
}

// checkServed compares the clients that are configured with those that run.
func (d *doctor) checkServed(context.Context) []flow.Finding {
	const check = "clients"
	if !d.running.listed {
		return skip(check, "the service does not tell")
	}
	var missing []string
	for _, c := range d.clients {
		if _, there := d.running.clients[c.Name]; !there {
			missing = append(missing, c.Name)
		}
	}
	if len(missing) > 0 {
		return warn(check, "configured here, but the service does not serve this caller: "+strings.Join(missing, ", "), "restart the service after a change of its configuration, and look at the clients of the caller's key")
	}
	var names []string
	for name := range d.running.clients {
		names = append(names, name)
	}
	slices.Sort(names)
	return good(check, "the service has "+cmp.Or(strings.Join(names, ", "), "none"))
}
