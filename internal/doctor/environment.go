package doctor

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"example.com/tokend/pkg/flow"
)

// Limits below which the machine has little left. A store of a hundred clients takes
// some megabytes with its log.
const (
	spaceProblem  = 16 << 20
	spaceWarning  = 128 << 20
	inodesProblem = 16
	fewFiles      = 256 // open at once: callers, connections to providers, the store
)

// checkDirectories checks the variables that the default places come from.
func (x *examination) checkDirectories(context.Context) []flow.Finding {
	const check = "directories"
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"} {
		dir := x.Getenv(name)
		if dir != "" && !filepath.IsAbs(dir) {
			return warning(check, fmt.Sprintf("%s is %q, no absolute path, and is ignored", name, dir), "set it to an absolute path, or unset it")
		}
	}
	if x.Getenv("HOME") == "" && (x.Getenv("XDG_CONFIG_HOME") == "" || x.Getenv("XDG_STATE_HOME") == "") {
		return warning(check, "HOME is not set: there are no default places", "set HOME, or XDG_CONFIG_HOME and XDG_STATE_HOME")
	}
	return ok(check, "the default places are known")
}

// checkDisk finds a disk that is too full to save a refresh token.
func (x *examination) checkDisk(context.Context) []flow.Finding {
	const check = "disk"
	if x.Settings.StoreDir == "" {
		return skipped(check, "the store has no directory")
	}
	dir := existing(x.Settings.StoreDir)
	bytes, inodes, known := x.Machine.Space(dir)
	hint := "free some space there, or set TOKEND_STORE to another disk: a refresh token that cannot be saved may cost the login"
	switch left := fmt.Sprintf("%d MiB left at %s", bytes>>20, dir); {
	case !known:
		return skipped(check, "not known on this system")
	case inodes < inodesProblem:
		return problem(check, flow.ClassConfig, fmt.Sprintf("room for %d more files at %s", inodes, dir), hint)
	case bytes < spaceProblem:
		return problem(check, flow.ClassConfig, left, hint)
	case bytes < spaceWarning:
		return warning(check, left, hint)
	default:
		return ok(check, left)
	}
}

// checkFileLimit finds a limit that callers would run into.
func (x *examination) checkFileLimit(context.Context) []flow.Finding {
	const check = "open files"
	limit, known := x.Machine.Files()
	switch {
	case !known:
		return skipped(check, "not known on this system")
	case limit < fewFiles:
		return warning(check, fmt.Sprintf("at most %d files may be open at once", limit), "raise it: ulimit -n 1024, or LimitNOFILE= of the systemd unit")
	case limit > math.MaxInt32: // RLIM_INFINITY, or as good as
		return ok(check, "no limit")
	}
	return ok(check, fmt.Sprintf("%d at once", limit))
}

// checkProxy reports which providers are asked through a proxy.
func (x *examination) checkProxy(context.Context) []flow.Finding {
	const check = "proxy"
	cfg := x.proxies()
	for _, v := range []struct{ name, value string }{{"HTTP_PROXY", cfg.HTTPProxy}, {"HTTPS_PROXY", cfg.HTTPSProxy}} {
		if v.value != "" && proxyHost(v.value) == "" {
			return warning(check, v.name+" is not a URL and is ignored", "set it to http://host:port, or unset it")
		}
	}
	through := cfg.ProxyFunc()
	var asked []string
	for _, c := range x.Settings.Clients {
		u, err := url.Parse(c.Issuer)
		if err != nil || u.Host == "" {
			continue
		}
		if via, err := through(u); err == nil && via != nil {
			asked = append(asked, u.Host+" through "+via.Host)
		}
	}
	if len(asked) == 0 {
		return ok(check, "providers are asked directly")
	}
	return ok(check, "providers are asked through the proxy of the environment: "+strings.Join(asked, ", "))
}

// proxies are the proxy settings of the environment, as net/http reads them.
func (x *examination) proxies() *httpproxy.Config {
	get := func(upper, lower string) string { return cmp.Or(x.Getenv(upper), x.Getenv(lower)) }
	return &httpproxy.Config{
		HTTPProxy: get("HTTP_PROXY", "http_proxy"), HTTPSProxy: get("HTTPS_PROXY", "https_proxy"), NoProxy: get("NO_PROXY", "no_proxy"),
		CGI: x.Getenv("REQUEST_METHOD") != "",
	}
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

// checkLoopbackProxy finds the proxy that callers would send their requests for this
// machine to, with the API key. tokend's own commands use no proxy.
func (x *examination) checkLoopbackProxy(context.Context) []flow.Finding {
	const check = "loopback proxy"
	variable, value := x.firstVariable("http_proxy", "all_proxy", "ALL_PROXY", "HTTP_PROXY")
	if value == "" {
		return ok(check, "no proxy is set for callers")
	}
	_, except := x.firstVariable("no_proxy", "NO_PROXY")
	var sent []string
	for _, host := range []string{"localhost", "127.0.0.1"} {
		if !proxySpares(except, host) {
			sent = append(sent, host)
		}
	}
	if len(sent) == 0 {
		return ok(check, "callers reach this machine without "+variable)
	}
	return warning(check, fmt.Sprintf("curl and other callers send requests for %s to the proxy %s (%s), with their key", strings.Join(sent, " and "), proxyHost(value), variable),
		"add localhost,127.0.0.1,::1 to NO_PROXY, or call curl --noproxy '*'")
}

// firstVariable is the first of these variables that is set.
func (x *examination) firstVariable(names ...string) (name, value string) {
	for _, name := range names {
		if v := x.Getenv(name); v != "" {
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
