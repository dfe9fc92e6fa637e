package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/tokend"
)

// keyHint says where a caller finds the API key.
const keyHint = "set TOKEND_API_KEY or TOKEND_API_KEY_FILE to the key of the service, by default in ~/.local/state/tokend/api.key (XDG_STATE_HOME)"

// probeTimeout is how long the service may take to answer.
const probeTimeout = 5 * time.Second

// addrVariable names the service that is meant.
const addrVariable = "TOKEND_ADDR"

// running is what the service has reported.
type running struct {
	conn    *tokend.Client // to an endpoint that answers; nil: none does
	needKey *tokend.Client // to the listener, when it answers: its callers need a key
	version string
	listed  bool // the clients are known
	clients map[string]tokend.Status
}

// endpoint is an address where the service may listen.
type endpoint struct {
	check, addr string
	conn        *tokend.Client
	needsKey    bool
}

// endpoints are those that the environment and the configuration name.
func (x *examination) endpoints() ([]endpoint, error) {
	at, err := tokend.Find(x.Locate)
	if err != nil {
		return nil, err
	}
	if addr := x.Getenv(addrVariable); addr != "" {
		e, err := connect(at, endpoint{check: "address", addr: addr, needsKey: !strings.HasPrefix(addr, "unix:")}, addr, addrVariable)
		return []endpoint{e}, err
	}
	var found []endpoint
	if path := x.Settings.Socket; path != "" {
		e, err := connect(at, endpoint{check: "socket", addr: path}, "unix:"+path, "TOKEND_SOCKET")
		if err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	if l := x.Settings.Listen; !l.Off && l.Port != 0 {
		e, err := connect(at, endpoint{check: "listener", addr: l.Addr, needsKey: true}, "http://"+l.Addr, "TOKEND_LISTEN")
		if err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	return found, nil
}

// connect completes e with a client of the service at addr, which a setting gives.
func connect(at tokend.Service, e endpoint, addr, setting string) (endpoint, error) {
	at.Addrs = []string{addr}
	conn, err := tokend.New(at)
	if err != nil {
		text, advice := explain(err)
		return e, hint.Errorf(advice, "%s: %s", setting, text)
	}
	e.conn = conn
	return e, nil
}

// explain returns the text and the hint of an error of the service's client.
func explain(err error) (text, advice string) {
	var e *tokend.Error
	switch {
	case !errors.As(err, &e):
		return err.Error(), hint.Of(err)
	case e.Status != 0 && e.Code != tokend.CodeNotTokend:
		return e.Code + ": " + e.Description, e.Hint
	}
	return e.Description, e.Hint
}

// serviceProblem is a problem with the text and the hint of an error of the service's client.
func serviceProblem(check string, class flow.Class, err error) []flow.Finding {
	text, advice := explain(err)
	return problem(check, class, oneLine(text), oneLine(advice))
}

// checkEndpoints asks at each endpoint whether tokend is behind it.
func (x *examination) checkEndpoints(ctx context.Context) []flow.Finding {
	endpoints, err := x.endpoints()
	if err != nil {
		return serviceProblem("address", flow.ClassConfig, err)
	}
	var found []flow.Finding
	var silent []string
	for _, e := range endpoints {
		f, answers := x.probe(ctx, e)
		if answers || f.Result == flow.ResultProblem {
			found = append(found, f)
		} else {
			silent = append(silent, e.addr)
		}
	}
	where := strings.Join(silent, " and ")
	switch {
	case len(silent) == 0:
	case x.running.conn != nil:
		found = append(found, warning("service", "tokend runs, but nothing answers at "+where, "start it with the same TOKEND_SOCKET and TOKEND_LISTEN as this command has")...)
	case x.Getenv(addrVariable) != "":
		found = append(found, problem("service", ClassService, "nothing answers at "+where, "start tokend serve there, or correct TOKEND_ADDR")...)
	case len(found) == 0:
		found = append(found, warning("service", "tokend does not run: nothing answers at "+where, "start it: tokend serve")...)
	}
	if len(found) == 0 {
		return skipped("service", "it chooses its port at the start")
	}
	return found
}

// probe asks at one endpoint. When nothing listens there the finding is a warning.
func (x *examination) probe(ctx context.Context, at endpoint) (f flow.Finding, answers bool) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	defer at.conn.Close()
	version, err := at.conn.Health(ctx)
	var e *tokend.Error
	var unknown *net.DNSError
	switch {
	case err == nil:
		if x.running.conn = at.conn; at.needsKey {
			x.running.needKey = at.conn
		}
		x.running.version = version
		return ok(at.check, "tokend answers at "+at.addr)[0], true
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return warning(at.check, "", "")[0], false
	case errors.Is(err, tokend.ErrForeign):
		return problem(at.check, ClassService, "what listens at "+at.addr+" belongs to another user, and is not sent the key", "stop that program, or set TOKEND_LISTEN to another port; if its tokend is meant, set TOKEND_ADDR")[0], false
	case errors.Is(err, fs.ErrPermission):
		return problem(at.check, ClassService, at.addr+" is closed to this user", "run this as the user of the service: the socket is for that user only")[0], false
	case errors.As(err, &e) && e.Code == tokend.CodeAddress:
		return problem(at.check, flow.ClassConfig, e.Description, e.Hint)[0], false
	case errors.As(err, &unknown):
		return problem(at.check, ClassService, "the name of "+at.addr+" cannot be resolved: "+unknown.Err, "correct TOKEND_ADDR")[0], false
	case errors.Is(err, context.DeadlineExceeded):
		return problem(at.check, ClassService, "what listens at "+at.addr+" does not answer", "check whether it is tokend, and restart it")[0], false
	}
	hint := "stop that program, or set TOKEND_LISTEN to another port, for the service and its callers"
	if at.check != "listener" {
		hint = "correct the address: TOKEND_ADDR, TOKEND_SOCKET"
	}
	return problem(at.check, ClassService, "what answers at "+at.addr+" is not tokend", hint)[0], false
}

// checkCallerKey asks as a caller does, with the API key that the other commands
// would send.
func (x *examination) checkCallerKey(ctx context.Context) []flow.Finding {
	const check = "api key"
	if x.running.conn == nil {
		return skipped(check, "tokend does not run")
	}
	if x.running.needKey == nil {
		return x.list(ctx, x.running.conn, skipped(check, "the socket needs none"))
	}
	key, err := x.running.needKey.Key()
	if err != nil {
		return serviceProblem(check, flow.ClassConfig, err)
	}
	if key == "" {
		return warning(check, "no API key is set for callers of the listener", keyHint)
	}
	return x.list(ctx, x.running.needKey, ok(check, "the service accepts it"))
}

// list asks for the state of the clients; accepted is the finding when that works.
func (x *examination) list(ctx context.Context, conn *tokend.Client, accepted []flow.Finding) []flow.Finding {
	check := accepted[0].Check
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	defer conn.Close()
	all, err := conn.Clients(ctx)
	var e *tokend.Error
	switch {
	case errors.As(err, &e) && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden):
		text, advice := "the service rejects this key", "set TOKEND_API_KEY or TOKEND_API_KEY_FILE to the key of the service"
		if e.Code == tokend.CodeUnauthorized { // it says why, such as when the key expired
			text, advice = text+": "+e.Description, cmp.Or(e.Hint, advice)
		}
		return problem(check, ClassKey, text, advice)
	case errors.As(err, &e) && e.Code == tokend.CodeNotTokend:
		return problem(check, ClassService, "its answer is not a list of clients", "use the command line of the service's version")
	case err != nil:
		return serviceProblem(check, ClassService, err)
	}
	x.running.listed, x.running.clients = true, map[string]tokend.Status{}
	for _, c := range all {
		x.running.clients[c.Client] = c
	}
	return accepted
}

// checkReady reports a service that answers without its store.
func (x *examination) checkReady(ctx context.Context) []flow.Finding {
	conn := x.running.conn
	if conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	defer conn.Close()
	_, err := conn.Ready(ctx)
	if e := (*tokend.Error)(nil); errors.As(err, &e) && e.Code == tokend.CodeStoreUnavailable {
		return problem("service", ClassService, "the running service is not ready: "+oneLine(e.Description), cmp.Or(oneLine(e.Hint), "its log has the reason; check the database or the disk, and restart tokend"))
	}
	return nil
}

// checkVersion compares this program with the service.
// checkAudit reports an audit log that misses entries, or would.
func (x *examination) checkAudit(ctx context.Context) []flow.Finding {
	const check = "audit log"
	if conn := x.running.conn; conn != nil {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		defer conn.Close()
		if r, err := conn.Ready(ctx); err == nil && r.Audit != nil {
			return problem(check, ClassService, fmt.Sprintf("degraded since %s: %s; %d entries are in the service's log only", rfc3339(r.Audit.Since), r.Audit.Reason, r.Audit.Missing), r.Audit.Hint)
		}
	}
	if x.CheckAudit == nil {
		return nil
	}
	if err := x.CheckAudit(); err != nil {
		return problemOf(check, flow.ClassConfig, err)
	}
	return ok(check, "its file can be written")
}

func (x *examination) checkVersion(context.Context) []flow.Finding {
	const check = "version"
	own, theirs := x.Version, x.running.version
	switch {
	case x.running.conn == nil:
		return skipped(check, "tokend does not run")
	case own == theirs:
		return ok(check, own)
	}
	return warning(check, fmt.Sprintf("this is %s, and the service is %s", own, cmp.Or(theirs, "older")), "restart the service after an update")
}

// checkServed compares the configured clients with those of the service.
func (x *examination) checkServed(context.Context) []flow.Finding {
	const check = "clients"
	if !x.running.listed {
		return skipped(check, "the service does not list its clients")
	}
	if unknown := x.unknownNames(check); unknown != nil {
		return unknown
	}
	var missing []string
	for _, c := range x.Settings.Clients {
		if _, exists := x.running.clients[c.Name]; !exists {
			missing = append(missing, c.Name)
		}
	}
	if len(missing) > 0 {
		return warning(check, "configured here, but the service does not serve this caller: "+strings.Join(missing, ", "), "restart the service after a change of its configuration, and check the clients of the API key")
	}
	var names []string
	for name := range x.running.clients {
		names = append(names, name)
	}
	slices.Sort(names)
	return ok(check, "the service has "+cmp.Or(strings.Join(names, ", "), "none"))
}
