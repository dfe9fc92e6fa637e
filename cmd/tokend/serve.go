package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/requestid"
	"example.com/tokend/internal/store"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/storeurl"
	"example.com/tokend/internal/systemd"
	"example.com/tokend/pkg/flow"
)

const serveHelp = `Runs the service until SIGTERM or Ctrl-C; refreshes in flight end first.

Configuration comes from variables and a YAML file; variables win.
  TOKEND_CONFIG           the file; $XDG_CONFIG_HOME/tokend/tokend.yaml
  TOKEND_LISTEN           127.0.0.1:8484 (with the same port of [::1]); "off": none
  TOKEND_SOCKET           $XDG_RUNTIME_DIR/tokend/tokend.sock; "off": none
  TOKEND_TLS_LISTEN       for callers of other machines, with TOKEND_TLS_CERT_FILE
                          and TOKEND_TLS_KEY_FILE; TOKEND_TLS_CLIENT_CA_FILE for
                          client certificates
  TOKEND_STORE            sqlite:$XDG_STATE_HOME/tokend/tokend.db
                          or postgres://user@host/database
  TOKEND_STORE_KEY[_FILE] Tink keyset that seals the store; created when absent
  TOKEND_STORE_PASSWORD[_FILE] password of the PostgreSQL database
  TOKEND_SPILL_DIR        keeps grants that the store cannot save; next to the store
  TOKEND_API_KEY[_FILE]   API key of callers; created when absent
  TOKEND_API_KEYS_FILE    keys of tokend key add; next to the store
  TOKEND_CALLER_RATE_LIMIT requests per second of each caller
  TOKEND_AUDIT_FILE       who got which token; TOKEND_AUDIT_MAX_SIZE, TOKEND_AUDIT_KEEP
  TOKEND_LOG_LEVEL        debug, info, warn, error
  TOKEND_LOG_FORMAT       text, json
  TOKEND_CLIENTS          names of clients, comma-separated
  TOKEND_CLIENT_<NAME>_<FIELD>, with <NAME> in capitals and _ for -, and <FIELD>
    ISSUER, CLIENT_ID, CLIENT_SECRET[_FILE],
    TOKEN_AUTH (post, basic, private_key_jwt, none),
    PRIVATE_KEY[_FILE] (PEM), PRIVATE_KEY_ID,
    PRIVATE_KEY_ALG (RS256, RS384, PS256; ES256 or ES384 by the curve),
    CLIENT_ASSERTION_FILE (a JWT of another program, read at each use),
    AUTHORIZE_URL, TOKEN_URL, DEVICE_URL, JWKS_URL, REVOCATION_URL (in place of
    discovery), TOKEN_PARAMS (name:value,…: for the requests for a grant),
    PAR (push authorization requests),
    GRANT (authorization_code, refresh_token, client_credentials, device_code,
    password, token_exchange), REDIRECT_URI, SCOPES, AUDIENCE, RESOURCES,
    LOGIN (headless, browser, paste; device), AUTHORIZE_PARAMS (name:value,…),
    REFRESH_TOKEN[_FILE] of refresh_token,
    USERNAME, PASSWORD[_FILE], REALM of password,
    SUBJECT_TOKEN_TYPE, SUBJECT_TOKEN_FILE (read at each exchange) or
    SUBJECT_TOKEN_SOURCE (github-actions), SUBJECT_TOKEN_AUDIENCE of
    token_exchange,
    ROTATION (on, off), LEEWAY, REFRESH_ADVISORY, REFRESH_MANDATORY,
    LIFETIME (of access tokens without expires_in), IDLE and ABSOLUTE (of refresh
    tokens),
    HOSTS ([user@]host[:port],…: they get the token from credential helpers),
    UPSTREAMS (URLs that the proxy may send the token to), INSECURE_ALLOW_HTTP,
    ENV (variables that "tokend exec" puts the token in),
    FILE (path of a file that tokend keeps the token in),
    ACTIONS_ID_TOKEN (answer GitHub Actions' form of request as well)
Each secret may also be a systemd credential of the variable's name. Under
systemd, the sockets of a socket unit replace TOKEND_LISTEN and TOKEND_SOCKET,
and the unit's StateDirectory=, RuntimeDirectory= and ConfigurationDirectory=
replace the directories above. In the file the settings of the service, such as
listen, are at the top, and the fields are under clients.<name> in lower case;
keys.<name> with key_file and clients is an API key for these clients only; callers
are other users and holders of client certificates; files is a list of files with
client, path, format (text, json, header, env), mode, min_validity and hook, a command
as a list of words.

SIGHUP loads the file and every file that holds a secret again: clients, keys and
token files change, all at once; unchanged clients keep their tokens and logins. A
file with an error changes nothing, and the log says what is wrong. Listener,
socket, store, log and variables need a restart.`

func (p *program) serve() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the service", Long: serveHelp, Args: cobra.NoArgs,
		Annotations: map[string]string{reloads: ""},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if once {
				p.hangups.endWith(cmd.Context())
			} else {
				p.hangups.reload()
			}
			s, err := collectingLess(loadServiceSettings)
			switch {
			case err != nil:
			case once:
				err = exitWith(exitUnavailable, p.serveOnce(cmd.Context(), s))
			default:
				err = exitWith(exitUnavailable, stopped(cmd.Context(), p.runService(cmd.Context(), s)))
			}
			return p.reportInLog(cmd.Context(), s, err)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "log in, write the token files and exit, without listening: for init containers")
	return cmd
}

// collectingLess reads the configuration, and lets the heap grow to three times what is
// in use while it does: the parser leaves much garbage of a large file, and no caller
// waits yet. If GOGC is set, it stays.
func collectingLess(load func() (settings, error)) (settings, error) {
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(200))
	}
	return load()
}

// stopped returns err, or nil if the service was stopped while it started.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// reportInLog reports the end of a service with an error in its log where that is JSON:
// what reads it expects nothing else. A text log and a person get the error as every
// command prints it.
func (p *program) reportInLog(ctx context.Context, s settings, err error) error {
	if err == nil || !s.JSON {
		return err
	}
	const msg = "the service has failed"
	err = p.outOfTime(err)
	logFailure(context.WithoutCancel(ctx), s.logger(p.stderr), msg, err, "tokend doctor finds the usual causes")
	return &exitError{code: exitCode(err), err: errors.New(msg), told: true}
}

// runService listens first, so that a port in use is an error before it creates any file.
func (p *program) runService(ctx context.Context, s settings) (err error) {
	log := s.logger(p.stderr)
	listeners, err := p.listeners(ctx, s, log)
	defer func() {
		for _, l := range listeners {
			_ = l.Close() // already closed after a complete run
		}
	}()
	if err != nil {
		return err
	}
	s.warnOfPassword(ctx, log)
	for _, name := range s.withPassword() {
		log.WarnContext(ctx, passwordGrant, "client", name, "hint", passwordGrantHint)
	}
	tracer, err := startTracing(ctx, log)
	if err != nil {
		return err
	}
	grants, err := s.openStore(ctx)
	if err != nil {
		return exitWith(exitConfig, err)
	}
	defer func() {
		if cerr := grants.Close(); err == nil {
			err = cerr
		}
	}()
	trail, err := s.openAudit(log)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, trail.Close()) }()
	svc := &serving{settings: s, audit: trail, trace: tracer, issuers: issuers{}, port: tcpPort(listeners[0]), grants: grants, manager: systemd.NewNotifier(namesOf(s.Clients), log), restored: newRestoredWarning(s.Clients, log), log: log}
	svc.keeper = keeper{grants: grants, log: log, own: ownRedirect(svc.port), note: svc.note, audit: trail, providers: providers{}}
	defer svc.traceClients()()
	svc.measure()
	floor := make([]byte, heapFloor)
	defer runtime.KeepAlive(floor)
	defer svc.keeper.providers.close()
	defer svc.issuers.close()
	defer svc.followEvents(ctx)()
	if err := svc.build(); err != nil {
		return exitWith(exitConfig, err)
	}
	freeMemory(len(svc.kept))
	var addrs []net.Addr
	for _, l := range listeners {
		addrs = append(addrs, l.Addr())
		log.InfoContext(ctx, "listening", "network", l.Addr().Network(), "addr", l.Addr().String())
	}
	if p.listening != nil {
		p.listening(addrs)
	}
	defer svc.manager.Start(ctx, grants.Ping)()
	defer svc.reloadOn(ctx, p.hangups.c)()
	if err = svc.files.around(ctx, func(ctx context.Context) error { return svc.daemon.Run(ctx, listeners...) }); err == nil {
		log.InfoContext(context.WithoutCancel(ctx), "ended")
		err = ended(ctx)
	}
	return err
}

func (s settings) logger(w io.Writer) *slog.Logger { return s.loggerAt(w, s.Level) }

func (s settings) loggerAt(w io.Writer, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if s.JSON {
		return requestid.Log(slog.New(slog.NewJSONHandler(w, o)))
	}
	return requestid.Log(slog.New(slog.NewTextHandler(w, o)))
}

func (s settings) openStore(ctx context.Context) (*store.Store, error) {
	o := s.storeOptions()
	var err error
	switch {
	case s.Keyset == "":
		o.Keys, err = store.LoadOrCreateKeyset(ctx, s.KeysetFile, s.Store, o)
	default:
		o.Keys, err = s.keyset()
		if s.KeysetInFile && err == nil {
			store.FollowKeyset(o.Keys, s.KeysetFile)
		}
	}
	var grants *store.Store
	if err == nil {
		if _, err := os.Lstat(s.KeysetFile); err == nil { // otherwise a variable has the keyset
			o.MarkFile = s.KeysetFile + ".mark"
		}
		grants, err = store.Open(ctx, s.Store, o)
	}
	return grants, temporary(err)
}

// temporary gives an error of a store that may be over soon its exit code: systemd starts
// the service again after it, and not after that of a wrong configuration.
func temporary(err error) error {
	for _, e := range []error{store.ErrUnreachable, store.ErrDisk, syscall.ENOSPC} {
		if errors.Is(err, e) {
			return exitWith(exitTryAgain, err)
		}
	}
	return err
}

// keyset parses the store keys that a variable, a credential or the file of
// store_key_file has.
func (s settings) keyset() (*seal.Keyset, error) {
	keys, err := seal.Parse(s.Keyset.Reveal())
	switch {
	case err == nil:
		return keys, nil
	case s.KeysetInFile:
		return nil, hintf(exitConfig, keysetHint, "TOKEND_STORE_KEY_FILE: %s: %w", s.KeysetFile, err)
	default:
		return nil, hintf(exitConfig, keysetHint, "TOKEND_STORE_KEY: %w", err)
	}
}

const keysetHint = "use the keyset that the store was made with; tokend key new makes one for a new store"

// storeOptions are the options of the store without its keys.
func (s settings) storeOptions() store.Options {
	return store.Options{SpillDir: s.SpillDir, StateDir: s.StateDir, Password: s.StorePassword}
}

// warnOfPassword warns if the store's URL has a password, which other users can often
// read: in the list of processes, in a unit, or in a file.
func (s settings) warnOfPassword(ctx context.Context, log *slog.Logger) {
	if u, err := storeurl.Parse(s.Store); err == nil && u.HasPassword() {
		log.WarnContext(ctx, passwordInURL, "hint", passwordHint)
	}
}

// withPassword returns the clients whose grant is a user's password.
func (s settings) withPassword() []string {
	var names []string
	for _, cl := range s.Clients {
		if _, ok := cl.Source.(flow.Password); ok {
			names = append(names, cl.Name)
		}
	}
	return names
}

const (
	passwordGrant     = "grant: password gives tokend the user's password, which RFC 9700 forbids" //nolint:gosec // a text
	passwordGrantHint = "use authorization_code or device_code, where the provider has them"       //nolint:gosec // a text

	passwordInURL = "the store's URL has a password: other users and logs may show it" //nolint:gosec // a text
	passwordHint  = "move it to a file: TOKEND_STORE_PASSWORD_FILE, or PGPASSFILE"     //nolint:gosec // a text
)
