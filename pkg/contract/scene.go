package contract

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

const standardScope = "openid profile email offline_access"

// runner runs cases against one target.
type runner struct {
	target Target
	data   *data
	wire   *wire
	red    *redactor
	seen   *driftList
	keys   keySet
	key    func() (*rsa.PrivateKey, error) // for private_key_jwt, made on first use
	locked bool                            // a real tenant refused the user's password; do not retry it
	lacked map[string]bool                 // by feature: whether the target lacks it
	inbox  *inbox                          // receives back-channel logouts, made on first use
}

func newRunner(t Target) (r *runner, done func()) {
	red := &redactor{}
	red.hide("client_secret", t.ClientSecret)
	red.hide("password", t.Password)
	w, closeWire := newWire(t, red)
	r = &runner{
		target: t, data: load().with(t.Recording), wire: w, red: red, seen: &driftList{}, lacked: map[string]bool{},
		key: sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }),
	}
	return r, func() {
		closeWire()
		r.inbox.close()
	}
}

// isMock reports whether the target has a control API.
func (r *runner) isMock() bool { return r.target.Control != "" }

// scene is the state of one running case.
type scene struct {
	*runner
	c       Case
	vars    variables
	browser *browser
	actor   string // "" or "other_": prefix of the variables of the client
	public  bool   // the client has no secret
	issued  []string
	dpop    proofs
}

func (r *runner) newScene(c Case) (*scene, error) {
	s := &scene{runner: r, c: c, vars: r.target.variables()}
	s.browser = newBrowser(r.wire, r.target.Username, r.target.Password)
	verifier, nonce := randomText(), randomText()
	sum := sha256.Sum256([]byte(verifier))
	s.vars["verifier"], s.vars["challenge"] = verifier, base64.RawURLEncoding.EncodeToString(sum[:])
	s.vars["nonce"] = nonce
	for _, name := range []string{"verifier", "nonce", "other_client_secret", "basic"} {
		s.red.hide(name, s.vars[name])
	}
	if slices.ContainsFunc(c.Setup, func(step string) bool { return strings.HasSuffix(step, ":backchannel_logout") }) {
		if err := s.openInbox(); err != nil {
			return nil, err
		}
	}
	if !r.target.Management && !slices.Contains(c.Setup, "client:private_key_jwt") && !slices.Contains(c.Setup, "client:jar_required") {
		return s, nil
	}
	key, err := r.key()
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	s.vars["client_key"] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	s.vars["assertion"], err = assertion(key, s.vars["client_id"], s.target.Issuer, s.target.Now())
	s.red.hide("assertion", s.vars["assertion"])
	return s, err
}

func randomText() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// setSecret sets a variable and masks its value in reports.
func (s *scene) setSecret(name, value string) {
	if value == "" {
		delete(s.vars, name)
		return
	}
	s.vars[name] = value
	s.red.hide(name, value)
}

// prepare sets up the mock and runs the steps of the case.
func (s *scene) prepare(ctx context.Context) error {
	if s.isMock() {
		if err := s.applyCalls(ctx, s.data.mockSetup.Baseline); err != nil {
			return err
		}
	}
	for _, step := range s.c.Setup {
		if err := s.step(ctx, step); err != nil {
			return fmt.Errorf("setup %q: %w", step, err)
		}
	}
	return nil
}

func splitStep(step string) (name, arg string) {
	name, arg, _ = strings.Cut(step, ":")
	return name, arg
}

func (s *scene) step(ctx context.Context, step string) error {
	if calls, found := s.data.mockSetup.Steps[step]; found {
		s.public = s.public || step == "client:public" || step == "client:native"
		return s.applyCalls(ctx, calls)
	}
	name, arg := splitStep(step)
	do := steps()[name]
	if do == nil { // the data allows this for the steps of a feature only
		return fmt.Errorf("the runner has no such step, and the target does not answer as a tenant without %s", s.data.features[s.c.Feature].What)
	}
	return do(ctx, s, arg)
}

// applyCalls makes calls to the control API.
func (s *scene) applyCalls(ctx context.Context, calls []controlCall) error {
	for _, p := range calls {
		escaped := variables{}
		for k, v := range s.vars {
			escaped[k] = url.PathEscape(v)
			if strings.Contains(p.Call, "?") {
				escaped[k] = url.QueryEscape(v)
			}
		}
		call, err := escaped.fill(p.Call)
		if err != nil {
			return err
		}
		var body any
		if len(p.Body) > 0 {
			raw, err := parseJSON(p.Body)
			if err != nil {
				return err
			}
			if body, err = s.vars.fillValue(raw); err != nil {
				return err
			}
		}
		if err := s.wire.control(ctx, call, body); err != nil {
			return err
		}
	}
	return nil
}

// authorizeURL returns the authorization request of the steps, changed by the case.
func (s *scene) authorizeURL() (string, error) {
	q := map[string]string{
		"response_type": "code", "client_id": "{{" + s.actor + "client_id}}", "redirect_uri": "{{redirect_uri}}",
		"scope": standardScope, "audience": "{{audience}}", "state": randomText(),
	}
	if s.vars["audience"] == "" {
		delete(q, "audience")
	}
	for k, v := range s.c.Authorize {
		if v == nil {
			delete(q, k)
			continue
		}
		q[k] = *v
	}
	filled, err := s.vars.fillMap(q)
	if err != nil {
		return "", err
	}
	return s.target.Issuer + "authorize?" + values(filled).Encode(), nil
}

// logIn opens the authorization request and follows the pages.
func (s *scene) logIn(ctx context.Context, do consent) (*answer, error) {
	u, err := s.authorizeURL()
	if err != nil {
		return nil, err
	}
	a, err := s.browser.get(ctx, u)
	if err != nil {
		return nil, err
	}
	return s.browser.followPages(ctx, a, do)
}

// obtainCode runs an authorization and stores {{code}}.
func (s *scene) obtainCode(ctx context.Context) error {
	a, err := s.logIn(ctx, accept)
	if err != nil {
		return err
	}
	to := a.location()
	if to == nil || to.Query().Get("code") == "" {
		return errors.New("no code: " + a.summary())
	}
	s.setSecret("code", to.Query().Get("code"))
	return nil
}

// post sends a form to a path below the issuer.
func (s *scene) post(ctx context.Context, path string, form map[string]string) (*answer, error) {
	filled, err := s.vars.fillMap(form)
	if err != nil {
		return nil, err
	}
	header := http.Header{"Content-Type": {formType}}
	if s.dpop.next != "" {
		header.Set("DPoP", s.dpop.next)
		s.dpop.next = ""
	}
	a, err := s.wire.send(ctx, nil, http.MethodPost, s.target.Issuer+path, header, values(filled).Encode())
	if err == nil {
		s.keepNonce(a)
	}
	return a, err
}

// grant sends a token request with the client's credentials.
func (s *scene) grant(ctx context.Context, grantType string, form map[string]string) (*answer, error) {
	form["grant_type"], form["client_id"] = grantType, "{{"+s.actor+"client_id}}"
	if !s.public {
		form["client_secret"] = "{{" + s.actor + "client_secret}}"
	}
	return s.post(ctx, "oauth/token", form)
}

// exchange exchanges {{code}} and stores {{at}}, {{rt}} and {{id_token}}.
func (s *scene) exchange(ctx context.Context) error {
	a, err := s.sendCode(ctx)
	if err != nil {
		return err
	}
	return s.takeTokens(a)
}

// sendCode sends the token request for {{code}}.
func (s *scene) sendCode(ctx context.Context) (*answer, error) {
	form := map[string]string{"code": "{{code}}", "redirect_uri": "{{redirect_uri}}"}
	if s.c.Authorize["redirect_uri"] != nil {
		form["redirect_uri"] = *s.c.Authorize["redirect_uri"]
	}
	if s.c.Authorize["code_challenge"] != nil {
		form["code_verifier"] = "{{verifier}}"
	}
	return s.grant(ctx, "authorization_code", form)
}

func (s *scene) takeTokens(a *answer) error {
	o, err := parseObject(a.body)
	if a.status != http.StatusOK || err != nil || o.text("access_token") == "" {
		return errors.New("no tokens: " + a.summary())
	}
	s.setSecret("at", o.text("access_token"))
	if t := o.text("id_token"); t != "" {
		s.setSecret("id_token", t)
	}
	if t := o.text("refresh_token"); t != "" {
		s.setSecret("rt", t)
		s.issued = append(s.issued, t)
	}
	return nil
}

func (s *scene) refresh(ctx context.Context, variable string) (*answer, error) {
	return s.grant(ctx, "refresh_token", map[string]string{"refresh_token": "{{" + variable + "}}"})
}
