package consumers

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// kubeClient is the client of client-go for a cluster whose user is the one that
// the documentation has in a kubeconfig.
func kubeClient(t *testing.T, s *service, cluster *httptest.Server, args ...string) *http.Client {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cluster.Certificate().Raw})
	file, err := clientcmd.Load([]byte(documented(t, "yaml", "users:", "exec-credential")))
	if err != nil {
		t.Fatal(err)
	}
	exec := file.AuthInfos["tokend"].Exec
	exec.Command, exec.Args = filepath.Join(bin, exec.Command), append(exec.Args, args...)
	for _, kv := range s.env {
		name, value, _ := strings.Cut(kv, "=")
		exec.Env = append(exec.Env, api.ExecEnvVar{Name: name, Value: value})
	}
	file.Clusters["c"] = &api.Cluster{Server: cluster.URL, CertificateAuthorityData: ca}
	file.Contexts["c"] = &api.Context{Cluster: "c", AuthInfo: "tokend"}
	file.CurrentContext = "c"
	// Through the file's own form, as kubectl reads it.
	text, err := clientcmd.Write(*file)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	h, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestExecPlugin: client-go's exec plugin gets the token, keeps it for its life,
// asks again after a 401, and tells what tokend says when there is none.
func TestExecPlugin(t *testing.T) {
	s := start(t)
	g := &gate{}
	g.expect(s.token(t))
	cluster := httptest.NewTLSServer(g.wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"kind":"APIVersions"}`)
	})))
	t.Cleanup(cluster.Close)
	h := kubeClient(t, s, cluster)
	get := func() int {
		t.Helper()
		resp, err := h.Get(cluster.URL + "/api")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for range 2 {
		if code := get(); code != http.StatusOK {
			t.Errorf("status %d, it saw %q", code, g.saw())
		}
	}
	if g.saw() != "bearer" {
		t.Errorf("the cluster saw %q", g.saw())
	}
	// The token is replaced; client-go has the old one and asks tokend after the 401.
	if out, err := s.command("tokend", "refresh", "demo").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	g.expect(s.token(t))
	if code := get(); code != http.StatusUnauthorized {
		t.Errorf("the old token: status %d", code)
	}
	if code := get(); code != http.StatusOK || g.saw() != "wrong, bearer" {
		t.Errorf("after the 401: status %d, it saw %q", code, g.saw())
	}

	s.env = append(s.env, "TOKEND_ADDR="+s.addr, "TOKEND_API_KEY=wrong-wrong-wrong-wrong")
	resp, err := kubeClient(t, s, cluster, "--min-validity", "1s").Get(cluster.URL + "/api")
	if err == nil {
		_ = resp.Body.Close()
		t.Fatal("there was an answer")
	}
	if !strings.Contains(err.Error(), "exit code 77") {
		t.Errorf("client-go says: %v", err)
	}
}
