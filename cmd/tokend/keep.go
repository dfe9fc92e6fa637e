package main

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"example.com/tokend/internal/audit"
	"example.com/tokend/internal/config"
	"example.com/tokend/internal/daemon"
	"example.com/tokend/internal/tokenfile"
	"example.com/tokend/pkg/flow"
)

// kept is a flow client with its settings and its token files.
type kept struct {
	settings *config.Client
	client   *flow.Client
	changes  *changes
	files    []*tokenfile.File
}

// changes passes on what a client reports: to the status line, and to the
// client's files. A client that a reload has replaced reports nothing.
type changes struct {
	note  func(flow.Status)
	files atomic.Pointer[[]*tokenfile.File] // nil: the client does not serve
}

func (c *changes) report(st flow.Status) {
	files := c.files.Load()
	if files == nil {
		return
	}
	c.note(st)
	for _, f := range *files {
		f.Wake()
	}
}

// keeper creates clients over a store.
type keeper struct {
	grants flow.Store
	log    *slog.Logger
	own    string            // the default redirect URI, at the listener; "": the configured one
	note   func(flow.Status) // called after every change of a client
	event  func(flow.Event)  // called after every change of a grant; nil: none
	ending time.Duration     // how long before its end a grant has its event

	refreshed func(flow.Refresh)                                                        // called after every refresh of a client; nil: none
	started   func(context.Context, flow.Operation) (context.Context, func(flow.Class)) // called when an operation of a client begins; nil: none

	audit *audit.Log // of the tokens that are written to files; nil: none

	providers providers
}

// providers are what clients of one issuer share, by issuer.
type providers map[string]*flow.Provider

func (ps providers) of(issuer string, log *slog.Logger) *flow.Provider {
	if ps[issuer] == nil {
		ps[issuer] = flow.NewProvider(flow.ProviderConfig{Issuer: issuer, Log: log})
	}
	return ps[issuer]
}

func (ps providers) close() {
	for _, p := range ps {
		_ = p.Close() // it returns nil
	}
}

// keep creates the clients and files of the settings, and starts nothing. It reuses those
// of old that are the same: a client that keeps its grant in the same way, and each
// unchanged file.
func (k keeper) keep(clients []config.Client, old []*kept) ([]*kept, error) {
	var list []*kept
	before := byName(old)
	for i := range clients {
		cl := &clients[i]
		made := &kept{settings: cl}
		before := before[cl.Name]
		if before != nil && before.settings.SameGrant(*cl) {
			made.client, made.changes = before.client, before.changes
		} else {
			before = nil
			if err := k.client(made); err != nil {
				return nil, err
			}
		}
		for _, c := range cl.Files {
			f, err := k.file(c, cl, made.client, before)
			if err != nil {
				return nil, err
			}
			made.files = append(made.files, f)
		}
		list = append(list, made)
	}
	return list, nil
}

func byName(list []*kept) map[string]*kept {
	m := make(map[string]*kept, len(list))
	for _, k := range list {
		m[k.settings.Name] = k
	}
	return m
}

// client creates the flow client of k.
func (k keeper) client(made *kept) (err error) {
	made.changes = &changes{note: k.note}
	c := made.settings.Config
	c.Store, c.Log, c.OnChange, c.RedirectURL = k.grants, k.log, made.changes.report, k.redirect(made.settings)
	c.OnEvent, c.EndingAhead, c.OnRefresh, c.OnStart = k.event, k.ending, k.refreshed, k.started
	c.Provider = k.providers.of(c.Issuer, k.log)
	made.client, err = flow.New(c)
	return err
}

// ownRedirect returns the default redirect URI at a listener; "" without one.
func ownRedirect(port int) string {
	if port == 0 {
		return ""
	}
	return config.RedirectTo(port)
}

func (k keeper) redirect(s *config.Client) string {
	if s.OwnRedirect && k.own != "" {
		return k.own
	}
	return s.RedirectURL
}

// file returns before's file of c, or a new one.
func (k keeper) file(c tokenfile.Config, client *config.Client, source tokenfile.Source, before *kept) (*tokenfile.File, error) {
	if before != nil {
		for i, was := range before.settings.Files {
			if config.SameFile(was, c) {
				return before.files[i], nil
			}
		}
	}
	c.Log = k.log
	if k.audit != nil {
		c.OnWrite = func(t *flow.Token) {
			k.audit.Record(&audit.Entry{
				Action: "file", Caller: "tokend", Client: client.Name, Audience: cmp.Or(t.Audience, client.Audience), File: c.Path, Status: http.StatusOK,
			})
		}
	}
	return tokenfile.New(c, source)
}

// activate makes the clients in list report, and stops those that only old has.
func activate(list, old []*kept) {
	for _, k := range list {
		k.changes.files.Store(&k.files)
	}
	active := byName(list)
	for _, was := range old {
		if now := active[was.settings.Name]; now == nil || now.client != was.client {
			was.changes.files.Store(nil)
		}
	}
}

// served returns the clients as the API has them.
func (k keeper) served(list []*kept) []daemon.Client {
	var clients []daemon.Client
	for _, made := range list {
		s := made.settings
		clients = append(clients, daemon.Client{
			Client: made.client, ClientID: s.ClientID, RedirectURL: k.redirect(s),
			Audience: s.Audience, Login: s.Login, Hosts: s.Hosts, Upstreams: s.Upstreams,
			Env: s.Env, ActionsIDToken: s.ActionsIDToken, Files: made.status,
		})
	}
	return clients
}

func flowClients(list []*kept) []*flow.Client {
	var clients []*flow.Client
	for _, k := range list {
		clients = append(clients, k.client)
	}
	return clients
}

// allFiles returns the files of all clients.
func allFiles(list []*kept) []*tokenfile.File {
	var files []*tokenfile.File
	for _, k := range list {
		files = append(files, k.files...)
	}
	return files
}

func (k *kept) status() []daemon.FileStatus {
	var list []daemon.FileStatus
	for _, f := range k.files {
		s := f.Status()
		list = append(list, daemon.FileStatus{Path: s.Path, Written: s.Written, Expiry: s.Expiry, Failure: s.Failure, Hint: s.Hint})
	}
	return list
}

// keepAlone creates the clients of s for a process that never reloads.
func (s settings) keepAlone(ps providers, grants flow.Store, trail *audit.Log, log *slog.Logger) ([]daemon.Client, []*tokenfile.File, error) {
	k := keeper{grants: grants, log: log, note: func(flow.Status) {}, audit: trail, providers: ps}
	list, err := k.keep(s.Clients, nil)
	if err != nil {
		return nil, nil, err
	}
	activate(list, nil)
	return k.served(list), allFiles(list), nil
}
