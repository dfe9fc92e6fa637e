package deploy_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/PaesslerAG/jsonpath"
	apps "k8s.io/api/apps/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The objects of external-secrets.io/v1 that docs/external-secrets.md has: the members that
// it uses, with the names of the operator's API. The operator's own types would need its
// whole module.
type (
	secretStore struct {
		meta.TypeMeta   `json:",inline"`
		meta.ObjectMeta `json:"metadata"`
		Spec            struct {
			Provider struct {
				Webhook webhook `json:"webhook"`
			} `json:"provider"`
		} `json:"spec"`
	}
	webhook struct {
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers"`
		Result  struct {
			JSONPath string `json:"jsonPath"`
		} `json:"result"`
		CAProvider struct {
			Type string `json:"type"`
			Name string `json:"name"`
			Key  string `json:"key"`
		} `json:"caProvider"`
		Secrets []struct {
			Name      string `json:"name"`
			SecretRef struct {
				Name string `json:"name"`
			} `json:"secretRef"`
		} `json:"secrets"`
	}
	externalSecret struct {
		meta.TypeMeta   `json:",inline"`
		meta.ObjectMeta `json:"metadata"`
		Spec            struct {
			RefreshInterval meta.Duration `json:"refreshInterval"`
			SecretStoreRef  struct {
				Kind string `json:"kind"`
				Name string `json:"name"`
			} `json:"secretStoreRef"`
			Target struct {
				Name string `json:"name"`
			} `json:"target"`
			Data []struct {
				SecretKey string            `json:"secretKey"`
				RemoteRef map[string]string `json:"remoteRef"`
			} `json:"data"`
		} `json:"spec"`
	}
)

// TestExternalSecrets_RecipeGetsAToken runs the recipe of docs/external-secrets.md: the
// request is rendered as pkg/common/webhook of the operator does it, sent to a tokend with
// TLS, and its answer is read by the operator's JSONPath library.
func TestExternalSecrets_RecipeGetsAToken(t *testing.T) {
	page := read(t, filepath.Join(root, "docs", "external-secrets.md"))
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(blocks) != 3 {
		t.Fatalf("docs/external-secrets.md has %d blocks marked yaml, not a patch, the objects and a rule", len(blocks))
	}
	if spec := strict[networking.NetworkPolicySpec](t, blocks[2][1]); len(spec.Ingress) != 1 || len(spec.Ingress[0].From) != 1 ||
		spec.Ingress[0].From[0].PodSelector == nil || spec.Ingress[0].From[0].NamespaceSelector == nil {
		t.Errorf("the rule is not of pods in any namespace: %s", blocks[2][1])
	}
	objects := strings.Split(blocks[1][1], "---\n")
	if len(objects) != 2 {
		t.Fatalf("%d objects", len(objects))
	}
	store, wanted := strict[secretStore](t, objects[0]), strict[externalSecret](t, objects[1])
	if store.Kind != "SecretStore" || wanted.Kind != "ExternalSecret" || wanted.Spec.SecretStoreRef.Kind != store.Kind || wanted.Spec.SecretStoreRef.Name != store.Name {
		t.Fatalf("%s %s is not of %s %s", wanted.Kind, wanted.Name, store.Kind, store.Name)
	}
	hook, data := store.Spec.Provider.Webhook, wanted.Spec.Data[0]
	if !strings.Contains(page, "kubectl create secret generic "+hook.Secrets[0].SecretRef.Name+" --from-file=key=") {
		t.Errorf("the page does not create the Secret %s", hook.Secrets[0].SecretRef.Name)
	}

	const key = "a-key-that-only-reads"
	settings := regexp.MustCompile("(?s)```text\n(.*?)```").FindStringSubmatch(page)
	if settings == nil {
		t.Fatal("docs/external-secrets.md has no settings of tokend")
	}
	mounted := patchedMount(t, blocks[0][1], hook.Secrets[0].SecretRef.Name) + "/key"
	if !strings.Contains(settings[1], " "+mounted+",") {
		t.Fatalf("the settings do not read %s, where the patch mounts the Secret:\n%s", mounted, settings[1])
	}
	file := write(t, filepath.Join(t.TempDir(), "key"), key, 0o600)
	port, ca := tlsService(t, strings.ReplaceAll(settings[1], mounted, file))
	request := func(client string) (int, []byte) {
		values := map[string]map[string]string{"remoteRef": {"key": url.QueryEscape(client)}, hook.Secrets[0].Name: {"key": key}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, rendered(t, hook.URL, values), nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range hook.Headers {
			r.Header.Add(name, rendered(t, value, values))
		}
		if r.URL.Host != service {
			t.Fatalf("the URL is of %s, not of the service of replicas.yaml", r.URL.Host)
		}
		r.URL.Host += ":" + port
		return send(t, r, ca)
	}
	status, body := request(data.RemoteRef["key"])
	var answer any
	if err := json.Unmarshal(body, &answer); err != nil || status != 200 {
		t.Fatalf("%d %s %v", status, body, err)
	}
	token, err := jsonpath.Get(hook.Result.JSONPath, answer)
	if text, ok := token.(string); err != nil || !ok || strings.Count(text, ".") != 2 {
		t.Errorf("%s finds no token: %v", hook.Result.JSONPath, err)
	}
	if status, _ := request("another"); status != 403 {
		t.Errorf("a client of others: %d", status)
	}
	validity, err := time.ParseDuration(mustQuery(t, hook.URL).Get("min_validity"))
	if err != nil || validity <= wanted.Spec.RefreshInterval.Duration {
		t.Errorf("a token that is valid for %s is replaced every %s", validity, wanted.Spec.RefreshInterval.Duration)
	}
}

// patchedMount returns where the patch mounts the Secret in the Deployment of
// replicas.yaml. The patch merges its lists by name, so it must name the container, and
// neither a volume nor a path that is there already.
func patchedMount(t *testing.T, patch, secret string) string {
	t.Helper()
	is, was := strict[apps.Deployment](t, patch).Spec.Template.Spec, replicas(t).Spec.Template.Spec
	if len(is.Containers) != 1 || is.Containers[0].Name != was.Containers[0].Name || len(is.Containers[0].VolumeMounts) != 1 || len(is.Volumes) != 1 {
		t.Fatalf("the patch is not one volume of container %s:\n%s", was.Containers[0].Name, patch)
	}
	volume, mount := is.Volumes[0], is.Containers[0].VolumeMounts[0]
	if mount.Name != volume.Name || volume.Secret == nil || volume.Secret.SecretName != secret {
		t.Errorf("the patch does not mount the Secret %s:\n%s", secret, patch)
	}
	for _, v := range was.Volumes {
		if v.Name == volume.Name {
			t.Errorf("replicas.yaml has a volume %s", v.Name)
		}
	}
	for _, m := range was.Containers[0].VolumeMounts {
		if m.MountPath == mount.MountPath || strings.HasPrefix(mount.MountPath, m.MountPath+"/") {
			t.Errorf("%s is mounted at %s, inside %s", mount.Name, mount.MountPath, m.MountPath)
		}
	}
	return mount.MountPath
}

// replicas returns the Deployment of replicas.yaml.
func replicas(t *testing.T) apps.Deployment {
	t.Helper()
	for _, doc := range strings.Split(read(t, filepath.Join(root, "deploy", "kubernetes", "replicas.yaml")), "\n---\n") {
		if strings.Contains(doc, "kind: Deployment\n") {
			return strict[apps.Deployment](t, doc)
		}
	}
	t.Fatal("replicas.yaml has no Deployment")
	return apps.Deployment{}
}

func mustQuery(t *testing.T, address string) url.Values {
	t.Helper()
	_, query, _ := strings.Cut(address, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// rendered executes a template of the provider. It has functions, too, which the recipe
// does not use.
func rendered(t *testing.T, text string, values map[string]map[string]string) string {
	t.Helper()
	parsed, err := template.New("").Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := parsed.Execute(&b, values); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// tlsService starts a tenant and a tokend with a certificate of the service, and returns
// the port and the certificate.
func tlsService(t *testing.T, settings string) (port, ca string) {
	t.Helper()
	dir := t.TempDir()
	programs := out(t)
	t.Setenv("MOCKAUTH0_LISTEN", "127.0.0.1:0")
	issuer := start(t, []string{filepath.Join(programs, "mockauth0")}).waitFor(t, `issuer (http://\S+),`)
	cert, key := certificate(t, service)
	port = freePort(t)
	file := write(t, filepath.Join(dir, "tokend.yaml"), settings+"listen: 127.0.0.1:0\ntls_listen: 127.0.0.1:"+port+
		"\ntls_cert_file: "+write(t, filepath.Join(dir, "tls.crt"), cert, 0o600)+"\ntls_key_file: "+write(t, filepath.Join(dir, "tls.key"), key, 0o600)+
		"\nclients:\n  demo: {issuer: "+issuer+", client_id: demo, client_secret: demo-secret, grant: client_credentials, audience: https://api.example.com/}\n", 0o600)
	for name, value := range map[string]string{"TOKEND_CONFIG": file, "HOME": dir, "XDG_STATE_HOME": dir, "XDG_CONFIG_HOME": dir, "XDG_RUNTIME_DIR": dir} {
		t.Setenv(name, value)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	start(t, []string{filepath.Join(programs, "tokend"), "serve"}).waitFor(t, `(msg=listening) network=tls addr=127\.0\.0\.1:`+port)
	return port, cert
}

// send sends a request to this machine instead of the cluster.
func send(t *testing.T, r *http.Request, ca string) (int, []byte) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ca))
	h := http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DialContext: dialHere, DisableKeepAlives: true,
	}, Timeout: 30 * time.Second}
	res, err := h.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, b
}
