package main

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"example.com/tokend/internal/store"
	"example.com/tokend/pkg/flow"
)

// When the machine has little left. A store of a hundred clients takes some
// megabytes with its log.
const (
	spaceProblem  = 16 << 20
	spaceWarning  = 128 << 20
	inodesProblem = 16
	fewFiles      = 256 // open at once: callers, their connections to the tenant, the store
)

// checkDirectories looks at the variables that the default places come from.
func (d *doctor) checkDirectories(context.Context) []flow.Finding {
	const check = "directories"
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"} {
		dir := os.Getenv(name)
		if dir != "" && !filepath.IsAbs(dir) {
			return warn(check, fmt.Sprintf("%s is %q, no absolute path, and is ignored", name, dir), "set it to an absolute path, or unset it")
		}
	}
	if os.Getenv("HOME") == "" && (os.Getenv("XDG_CONFIG_HOME") == "" || os.Getenv("XDG_STATE_HOME") == "") {
		return warn(check, "HOME is not set: there are no default places", "set HOME, or XDG_CONFIG_HOME and XDG_STATE_HOME")
	}
	return good(check, "the default places are known")
}

// checkDisk finds the disk that is nearly full before a refresh token does.
func (d *doctor) checkDisk(context.Context) []flow.Finding {
	const check = "disk"
	dir, err := store.Dir(d.settings.Store)
	if err != nil || dir == "" {
		return skip(check, "the store has no directory")
	}
	dir = existing(dir)
	bytes, inodes, known := d.machine.space(dir)
	hint := "free some space there, or set TOKEND_STORE to another disk: a successor that cannot be stored may cost the login"
	switch left := fmt.Sprintf("%d MiB left at %s", bytes>>20, dir); {
	case !known:
		return skip(check, "this system does not tell")
	case inodes < inodesProblem:
		return bad(check, flow.ClassConfig, fmt.Sprintf("room for %d more files at %s", inodes, dir), hint)
	case bytes < spaceProblem:
		return bad(check, flow.ClassConfig, left, hint)
	case bytes < spaceWarning:
		return warn(check, left, hint)
	default:
		return good(check, left)
	}
}

// checkFileLimit finds a limit that callers would run into.
func (d *doctor) checkFileLimit(context.Context) []flow.Finding {
	const check = "open files"
	limit, known := d.machine.files()
	switch {
	case !known:
		return skip(check, "this system does not tell")
	case limit < fewFiles:
		return warn(check, fmt.Sprintf("at most %d files may be open at once", limit), "raise it: ulimit -n 1024, or LimitNOFILE= of the systemd unit")
	case limit > math.MaxInt32: // RLIM_INFINITY, or as good as
		return good(check, "no limit")
	}
	return good(check, fmt.Sprintf("%d at once", limit))
}

// checkProxy tells which tenants are asked through a proxy.
func (d *doctor) checkProxy(context.Context) []flow.Finding {
	const check = "proxy"
	cfg := httpproxy.FromEnvironment()
	for _, v := range []struct{ name, value string }{{"HTTP_PROXY", cfg.HTTPProxy}, {"HTTPS_PROXY", cfg.HTTPSProxy}} {
		if v.value != "" && proxyHost(v.value) == "" {
			return warn(check, v.name+" is no URL and is ignored", "set it to http://host:port, or unset it")
		}
	}
	through := cfg.ProxyFunc()
	var asked []string
	for _, c := range d.clients {
		u, err := url.Parse(c.Issuer)
		if err != nil || u.Host == "" {
			continue
		}
		if via, err := through(u); err == nil && via != nil {
			asked = append(asked, u.Host+" through "+via.Host)
		}
	}
	if len(asked) == 0 {
		return good(check, "tenants are asked directly")
	}
	return good(check, "tenants are asked through the proxy of the environment: "+strings.Join(asked, ", "))
}

// proxyHost is a proxy without its password, "" when it is none.
func proxyHost(value string) string {
	if !strings.Contains(value, "://") {
		value = "http://" + value // host:port, as most programs take it
	}
	u, err := url.Parse(value)
	if err != nil {
		return ""
	}
	return u.Host
}

// checkLoopbackProxy finds the proxy that callers would send their requests for
// this machine to, key and all. tokend's own commands ask none.
func (d *doctor) checkLoopbackProxy(context.Context) []flow.Finding {
	const check = "loopback proxy"
	variable, value := firstVariable("http_proxy", "all_proxy", "ALL_PROXY", "HTTP_PROXY")
	if value == "" {
		return good(check, "no proxy is set for callers")
	}
	_, except := firstVariable("no_proxy", "NO_PROXY")
	var sent []string
	for _, host := range []string{"localhost", "127.0.0.1"} {
		if !proxySpares(except, host) {
			sent = append(sent, host)
		}
	}
	if len(sent) == 0 {
		return good(check, "callers reach this machine without "+variable)
	}
	return warn(check, fmt.Sprintf("curl and other callers send requests for %s to the proxy %s (%s), with their key", strings.Join(sent, " and "), proxyHost(value), variable),
		"add localhost,127.0.0.1,::1 to NO_PROXY, or call curl --noproxy '*'")
}

// firstVariable is the first of these variables that is set.
func firstVariable(names ...string) (name, value string) {
	for _, name := range names {
		if v := os.Getenv(name); v != "" {
			return name, v
		}
	}
	return "", ""
}

// proxySpares reads no_proxy as curl does.
func proxySpares(list, host string) bool {
	for entry := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		if entry == "*" || strings.EqualFold(strings.TrimPrefix(entry, "."), host) {
			return true
		}
		prefix, err := netip.ParsePrefix(entry)
		if addr, aerr := netip.ParseAddr(host); err == nil && aerr == nil && prefix.Contains(addr) {
			return true
		}
	}
	return false
}
