package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"example.com/tokend/internal/doctor"
	"example.com/tokend/internal/store"
	"example.com/tokend/internal/store/seal"
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
	var f faults
	if !errors.As(err, &f) && err != nil {
		return doctor.Deps{}, err
	}
	d := doctor.Deps{
		Settings: s.forDoctor(f), Names: names, Version: buildVersion(),
		Getenv: os.Getenv, Now: p.clock, Machine: doctor.ThisMachine(),
		CheckStore: s.checkStore, LoginHint: loginHint,
	}
	if p.machine != nil {
		d.Machine = *p.machine
	}
	if len(s.clients) == 0 { // the names are the service's, or the problem is that there are none
		return d, nil
	}
	chosen, err := chosen(s.clients, names)
	d.Settings.Clients = doctorClients(chosen)
	return d, err
}

// forDoctor are the settings as doctor looks at them; f is what is wrong with them.
func (s settings) forDoctor(f faults) doctor.Settings {
	d := doctor.Settings{
		NoClient: len(f) == 1 && strings.HasPrefix(f[0].text, noClient),
		Listen:   doctor.Listener{Off: s.listen == off, Addr: s.listen},
		Store:    s.store, APIKey: s.apiKey != "", APIKeyFile: s.apiKeyFile, All: doctorClients(s.clients),
	}
	for _, fault := range f {
		d.Problems = append(d.Problems, doctor.Problem{Text: fault.text, Hint: fault.hint})
	}
	if host, port, err := loopback(s.listen); err == nil {
		d.Listen.Host, d.Listen.Port = host, port
	}
	if s.socket != off {
		d.Socket = s.socket
	}
	if dir, err := store.Dir(s.store); err == nil && dir != "" {
		d.StoreDir, d.StoreFile = dir, strings.TrimPrefix(strings.TrimPrefix(s.store, "sqlite:"), "//")
	}
	if s.keyset != "" {
		_, d.KeysetErr = seal.Parse(s.keyset.Reveal())
	}
	return d
}

func doctorClients(clients []clientSettings) []doctor.Client {
	var list []doctor.Client
	for _, c := range clients {
		list = append(list, doctor.Client{Config: c.Config, Login: c.login})
	}
	return list
}

// checkStore opens the store read-only with its keyset.
func (s settings) checkStore(ctx context.Context) (exists bool, err error) {
	var keys *seal.Keyset
	if s.keyset != "" {
		if keys, err = seal.Parse(s.keyset.Reveal()); err != nil {
			return false, err
		}
	}
	return store.Check(ctx, s.store, store.Options{Keys: keys, SpillDir: s.spillDir}, s.keysetFile)
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
