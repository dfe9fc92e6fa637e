package deploy_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"

	"example.com/tokend/internal/store/postgres/pgtest"
)

// TestReplicas_OneGrant runs two pods of the deployment on one database: both serve the
// same token over TLS, and one continues when the other was killed.
func TestReplicas_OneGrant(t *testing.T) {
	db := pgtest.New(t)
	k := newKubelet(t, load(t, "kubernetes/replicas.yaml"))
	cert, key := certificate(t, service)
	k.secrets["tokend-tls"].StringData["tls.crt"], k.secrets["tokend-tls"].StringData["tls.key"] = cert, key
	secret := k.secrets["tokend"].StringData
	secret["TOKEND_STORE_PASSWORD"], secret["TOKEND_STORE_KEY"] = "the-password", newStoreKey(t)
	db.SQL(t, "postgres", "CREATE ROLE tokend LOGIN PASSWORD 'the-password'")
	db.SQL(t, "postgres", "CREATE DATABASE tokend OWNER tokend")
	if err := db.RequirePassword(); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(cert))
	pods := []*pod{k.replica(t, db.Port, roots), k.replica(t, db.Port, roots)}
	before := pods[0].state(t)
	for _, p := range pods {
		p.healthy(t)
		if got := p.state(t); got != before {
			t.Errorf("%+v, not %+v", got, before)
		}
		if status, body := p.ask("GET", "/readyz", ""); status != 200 || !strings.Contains(body, `"notifications":"ok"`) {
			t.Errorf("/readyz: %d %s", status, body)
		}
		if status, body := p.ask("GET", "/v1/clients/demo/token", "another-key"); status != 401 {
			t.Errorf("with another key: %d %s", status, body)
		}
	}
	if status, body := pods[0].ask("POST", "/v1/clients/demo/refresh", pods[0].key); status != 200 {
		t.Fatalf("refresh: %d %s", status, body)
	}
	fresh := pods[0].state(t)
	if fresh.Generation <= before.Generation {
		t.Errorf("%+v after a refresh of %+v", fresh, before)
	}
	pods[1].reaches(t, fresh)
	pods[0].kill9(t)
	if status, body := pods[1].ask("POST", "/v1/clients/demo/refresh", pods[1].key); status != 200 {
		t.Fatalf("refresh after the other was killed: %d %s\n%s", status, body, pods[1].log)
	}
	if got := pods[1].state(t); got.Generation != fresh.Generation+1 {
		t.Errorf("%+v after %+v", got, fresh)
	}
	if code := pods[1].stop(t); code != 0 {
		t.Errorf("ended with %d\n%s", code, pods[1].log)
	}
}

// service is the name that callers in the cluster use.
const service = "tokend.default.svc"

// newStoreKey lets the image make a store key, as docs/replicas.md says.
func newStoreKey(t *testing.T) string {
	t.Helper()
	i := newImage(t, "tokend")
	return i.run(t, nil, append(i.entrypoint, "key", "new")...)
}

// pod is a running container of the deployment.
type pod struct {
	*process

	image     *image
	container core.Container
	env       []string
	client    *http.Client
	url, key  string
}

// replica starts another pod, with a port and a database on this machine instead of the
// manifest's.
func (k kubelet) replica(t *testing.T, database int, roots *x509.CertPool) *pod {
	t.Helper()
	port := freePort(t)
	k.api = freePort(t)
	text := k.configs["tokend"].Data["tokend.yaml"]
	_, store, _ := strings.Cut(text, "store: ")
	store, _, _ = strings.Cut(store, "\n")
	hosts := fmt.Sprintf("postgres://tokend@127.0.0.1:1,127.0.0.1:%d/tokend?sslmode=disable&target_session_attrs=read-write", database)
	k.configs = map[string]core.ConfigMap{"tokend": {Data: map[string]string{
		"tokend.yaml": strings.NewReplacer(store, hosts, "0.0.0.0:8443", "127.0.0.1:"+port).Replace(text),
	}}}
	p := &pod{container: k.pod.Containers[0], url: "https://" + service + ":" + port, key: k.secrets["tokend"].StringData["TOKEND_API_KEY"]}
	p.image, p.env = k.container(t, p.container)
	p.process = start(t, p.image.within(t, p.env, command(p.image, p.container)...))
	p.waitFor(t, `(msg=listening) network=tls addr=127\.0\.0\.1:`+port)
	p.client = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: service, MinVersion: tls.VersionTLS12},
		DialContext:     dialHere,
	}, Timeout: 30 * time.Second}
	return p
}

// dialHere connects to this machine, whatever the name.
func dialHere(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// healthy: its probes succeed.
func (p *pod) healthy(t *testing.T) {
	t.Helper()
	for _, probe := range []*core.Probe{p.container.StartupProbe, p.container.ReadinessProbe, p.container.LivenessProbe} {
		if got := p.image.run(t, p.env, probe.Exec.Command...); got != "ok\n" {
			t.Errorf("probe: %q", got)
		}
	}
}

// ask sends a request of a caller in the cluster.
func (p *pod) ask(method, path, key string) (int, string) {
	req, err := http.NewRequest(method, p.url+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	r, err := p.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err.Error()
	}
	return r.StatusCode, string(b)
}

// grantState is what replicas must agree on.
type grantState struct {
	Generation int64  `json:"generation"`
	Token      string `json:"access_token"`
}

func (p *pod) state(t *testing.T) (g grantState) {
	t.Helper()
	for _, path := range []string{"/v1/clients/demo/token", "/v1/clients/demo"} {
		status, body := p.ask("GET", path, p.key)
		if err := json.Unmarshal([]byte(body), &g); status != 200 || err != nil {
			t.Fatalf("%s: %d %s %v\n%s", path, status, body, err, p.log)
		}
	}
	return g
}

// reaches waits until a pod has the state of another one.
func (p *pod) reaches(t *testing.T, want grantState) {
	t.Helper()
	var got grantState
	for range 100 {
		if got = p.state(t); got == want {
			return
		}
		time.Sleep(50 * time.Millisecond) // another process
	}
	t.Errorf("%+v, not %+v", got, want)
}

// kill9 ends the container like a node that fails: with sudo it is a child.
func (p *pod) kill9(t *testing.T) {
	t.Helper()
	pid := strconv.Itoa(p.Process.Pid)
	asRoot(t, "sh", "-c", "kill -9 $(cat /proc/"+pid+"/task/"+pid+"/children) "+pid)
	<-p.done
}

// certificate returns a certificate for a name, signed by itself, and its key in PEM.
func certificate(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}
