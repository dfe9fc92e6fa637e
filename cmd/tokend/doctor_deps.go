package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/doctor"
	"example.com/tokend/internal/format"
	"example.com/tokend/internal/store"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/storeurl"
	"example.com/tokend/pkg/flow"
)

// The classes of problems that are not pkg/flow's.
const (
	classNoService = doctor.ClassService
	classKey       = doctor.ClassKey
	classNoClient  = doctor.ClassUnknownClient
)

// doctorDeps reads the configuration and makes what an examination of the named
// clients needs. It is the one place that knows both.
func (p *program) doctorDeps(names []string) (doctor.Deps, error) {
	s, err := loadSettings()
	var f config.Faults
	if !errors.As(err, &f) && err != nil {
		return doctor.Deps{}, err
	}
	d := doctor.Deps{
		Settings: s.forDoctor(f), Names: names, Version: buildVersion(),
		Getenv: os.Getenv, Locate: locate(), Now: p.clock, Machine: doctor.ThisMachine(),
		CheckStore: s.checkStore, StoreUnreachable: store.ErrUnreachable, LoginHint: format.LoginHint, FailureHint: format.FailureHint,
	}
	if s.Audit.File != "" {
		d.CheckAudit = s.checkAudit
	}
	if p.machine != nil {
		d.Machine = *p.machine
	}
	if len(s.Clients) == 0 { // the names are the service's, or the problem is that there are none
		return d, nil
	}
	chosen, err := chosen(s.Clients, names)
	d.Settings.Clients = doctorClients(chosen)
	return d, err
}

// forDoctor returns the settings in the form that doctor reads; f has their errors.
func (s settings) forDoctor(f config.Faults) doctor.Settings {
	d := doctor.Settings{
		NoClient: f.NoClient(), Wrong: f.About,
		Listen: doctor.Listener{Off: s.Listen == config.Off, Addr: s.Listen},
		APIKey: s.APIKey != "", APIKeyFile: s.APIKeyFile, All: doctorClients(s.Clients),
	}
	for _, fault := range f {
		d.Problems = append(d.Problems, doctor.Problem{Text: fault.Message(), Hint: fault.Hint})
	}
	if host, port, err := config.Loopback(s.Listen); err == nil {
		d.Listen.Host, d.Listen.Port = host, port
	}
	if s.Socket != config.Off {
		d.Socket = s.Socket
	}
	if u, err := storeurl.Parse(s.Store); err == nil {
		d.Store, d.StoreFile, d.StoreRemote, d.PasswordInURL = u.String(), u.File(), u.Scheme == storeurl.Postgres, u.HasPassword()
		switch {
		case d.StoreFile != "":
			d.StoreDir = filepath.Dir(d.StoreFile)
		case d.StoreRemote: // for the spill
			d.StoreDir = cmp.Or(s.SpillDir, s.StateDir)
		}
	}
	if s.Keyset != "" {
		_, d.KeysetErr = seal.Parse(s.Keyset.Reveal())
	}
	return d
}

func doctorClients(clients []config.Client) []doctor.Client {
	var list []doctor.Client
	for _, c := range clients {
		list = append(list, doctor.Client{Config: c.Config, Login: c.Login})
	}
	return list
}

// checkStore opens the store read-only with its keyset.
func (s settings) checkStore(ctx context.Context) (exists bool, err error) {
	o := s.storeOptions()
	if s.Keyset != "" {
		if o.Keys, err = s.keyset(); err != nil {
			return false, err
		}
	}
	return store.Check(ctx, s.Store, o, s.KeysetFile)
}

// worstFound is the worst exit code of what was found, 0 without a problem.
func worstFound(found []doctor.Finding) int {
	var codes []int
	for _, f := range found {
		if f.Result == flow.ResultProblem {
			codes = append(codes, codeOfClass(f.Class))
		}
	}
	return worst(codes)
}
