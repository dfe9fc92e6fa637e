package referees_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// chromium is a headless Chromium with a profile of its own, at the address of
// a single-page application.
type chromium struct {
	t   *testing.T
	ctx context.Context // how chromedp names a tab
}

// newChromium opens a browser that trusts the certificates of both.
func newChromium(t *testing.T, ten *tenant, app *httptest.Server, more ...chromedp.ExecAllocatorOption) *chromium {
	t.Helper()
	return launchChromium(t, app.URL, append(more, chromedp.Flag("ignore-certificate-errors-spki-list", pins(t, ten, app)))...)
}

// launchChromium opens a browser at an address.
func launchChromium(t *testing.T, address string, flags ...chromedp.ExecAllocatorOption) *chromium {
	t.Helper()
	c := launch(t, flags...)
	c.do(chromedp.Navigate(address))
	return c
}

// launch opens a browser with an empty page.
func launch(t *testing.T, flags ...chromedp.ExecAllocatorOption) *chromium {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromiumPath(t)), // in a fresh profile
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("disable-component-update", true))
	options = append(options, flags...)
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	ctx, _ = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // it complains of what is newer than itself
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) })                                  // and waits until the browser has ended
	if err := chromedp.Do(ctx); err != nil {                                        // the browser lives as long as the context of its first call
		t.Fatal(err)
	}
	return &chromium{t: t, ctx: ctx}
}

// chromiumPath returns the browser of the system.
func chromiumPath(t *testing.T) string {
	t.Helper()
	if mac := "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; runtime.GOOS == "darwin" && exists(mac) {
		return mac
	}
	return tool(t, "chromium", "chromium-browser", "google-chrome")
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// pins are the hashes of the keys of the tenant's certificate, which is
// verified by its CA, and of the application's.
func pins(t *testing.T, ten *tenant, app *httptest.Server) string {
	t.Helper()
	transport := newBrowser(t, ten).http.Transport.(*http.Transport)
	conn, err := tls.Dial("tcp", ten.domain(), transport.TLSClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	certs := []*x509.Certificate{conn.ConnectionState().PeerCertificates[0]}
	if app.TLS != nil {
		certs = append(certs, app.Certificate())
	}
	var out []string
	for _, cert := range certs {
		sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
		out = append(out, base64.StdEncoding.EncodeToString(sum[:]))
	}
	return strings.Join(out, ",")
}

// step is one thing that a person or the application does.
type step = chromedp.Action[chromedp.Void]

func (c *chromium) do(steps ...step) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		c.fail(err)
	}
}

func (c *chromium) fail(err error) {
	c.t.Helper()
	at, _ := chromedp.Run(c.ctx, chromedp.Location())
	text, _ := chromedp.Run(c.ctx, chromedp.Evaluate[string]("document.documentElement.innerText"))
	c.t.Fatalf("%v at %s:\n%s", err, at, text)
}

// call runs a function of the application and reads what it resolves to.
func (c *chromium) call(js string, into any) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 30*time.Second)
	defer cancel()
	b, err := chromedp.Run(ctx, chromedp.Evaluate[[]byte](js, chromedp.EvalAsValue, chromedp.EvalAwaitPromise))
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		c.fail(err)
	}
}

// leave runs a function of the application that leads away from it, where
// the application is not what is seen.
func (c *chromium) leave(js string) {
	c.t.Helper()
	c.do(chromedp.Evaluate[chromedp.Void]("document.getElementById('application').remove(); void " + js))
}

// signIn fills in the tenant's login page.
func (c *chromium) signIn() {
	c.t.Helper()
	c.do(visible("#login-form"), chromedp.SendKeys(chromedp.CSS("#username"), "agent@example.com"),
		chromedp.SendKeys(chromedp.CSS("#password"), "password"), click("#continue"))
}

func visible(css string) step { return chromedp.WaitVisible(chromedp.CSS(css)) }

func click(css string) step { return chromedp.Click(chromedp.CSS(css)) }

// press clicks an element of a page that replaces its elements while it is live: between
// finding one and a click at its place, another could be there.
func press(css string) step {
	const script = `((css) => {
		const e = document.querySelector(css)
		if (!e || e.disabled) return false
		e.scrollIntoView({block: 'nearest'})
		const r = e.getBoundingClientRect()
		const at = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2)
		if (!r.width || !at || !e.contains(at)) return false
		e.focus({preventScroll: true})
		e.click()
		return true
	})(%q)`
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		for {
			if done, err := chromedp.Evaluate[bool](fmt.Sprintf(script, css))(ctx, t); err != nil || done {
				return chromedp.Void{}, err
			}
			select {
			case <-ctx.Done():
				return chromedp.Void{}, ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

// consent accepts what the tenant's consent page asks, and waits for the
// application.
func (c *chromium) consent() {
	c.t.Helper()
	c.do(visible("#consent-form"), click("#accept"))
	c.arrive()
}

func (c *chromium) arrive() {
	c.t.Helper()
	c.do(visible("#application"))
}

// serveApp serves a page of testdata and one file of an npm package on an
// address of its own, by the tenant's scheme: a browser keeps the tenant's
// cookie from the frames of another site. It returns the server and what sets
// the page's settings.
func serveApp(t *testing.T, scheme, name, sdk string) (*httptest.Server, func(object)) {
	t.Helper()
	sdk = filepath.Join(packages(t), filepath.FromSlash(sdk))
	page := filepath.Join("testdata", name+".html")
	var settings []byte
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, page) })
	mux.HandleFunc("GET /sdk.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, sdk) })
	mux.HandleFunc("GET /settings.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(append([]byte("const settings = "), settings...))
	})
	server := httptest.NewUnstartedServer(mux)
	if scheme == "https" {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	server.URL = strings.Replace(server.URL, "127.0.0.1", "localhost", 1) // the tenant's site
	return server, func(s object) {
		var err error
		if settings, err = json.Marshal(s); err != nil {
			t.Fatal(err)
		}
	}
}
