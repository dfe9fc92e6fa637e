package deploy_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// manifest is what a file of kubernetes/ holds.
type manifest struct {
	secrets map[string]core.Secret
	configs map[string]core.ConfigMap
	pod     core.PodSpec
	labels  map[string]string // of the pods
	claims  []string

	replicas int32
	service  *core.Service
	budget   *policy.PodDisruptionBudget
	network  *networking.NetworkPolicy
}

// strict reads a document into the API's own type; an unknown field is an error.
func strict[T any](t *testing.T, doc string) T {
	t.Helper()
	var v T
	if err := yaml.UnmarshalStrict([]byte(doc), &v); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	return v
}

func load(t *testing.T, file string) manifest {
	t.Helper()
	m := manifest{secrets: map[string]core.Secret{}, configs: map[string]core.ConfigMap{}}
	for doc := range strings.SplitSeq(read(t, file), "\n---\n") {
		var kind meta.TypeMeta
		if err := yaml.Unmarshal([]byte(doc), &kind); err != nil {
			t.Fatal(err)
		}
		switch kind.APIVersion + " " + kind.Kind {
		case "v1 Secret":
			s := strict[core.Secret](t, doc)
			m.secrets[s.Name] = s
		case "v1 ConfigMap":
			c := strict[core.ConfigMap](t, doc)
			m.configs[c.Name] = c
		case "apps/v1 StatefulSet":
			s := strict[apps.StatefulSet](t, doc)
			m.pod, m.labels = s.Spec.Template.Spec, s.Spec.Template.Labels
			m.selects(t, s.Spec.Selector)
			for _, c := range s.Spec.VolumeClaimTemplates {
				m.claims = append(m.claims, c.Name)
			}
		case "batch/v1 Job":
			m.pod = strict[batch.Job](t, doc).Spec.Template.Spec
		case "apps/v1 Deployment":
			d := strict[apps.Deployment](t, doc)
			m.pod, m.labels, m.replicas = d.Spec.Template.Spec, d.Spec.Template.Labels, *d.Spec.Replicas
			m.selects(t, d.Spec.Selector)
		case "v1 Service":
			s := strict[core.Service](t, doc)
			m.service = &s
		case "policy/v1 PodDisruptionBudget":
			b := strict[policy.PodDisruptionBudget](t, doc)
			m.budget = &b
		case "networking.k8s.io/v1 NetworkPolicy":
			n := strict[networking.NetworkPolicy](t, doc)
			m.network = &n
		default:
			t.Fatalf("%s: the test does not know %s %s", file, kind.APIVersion, kind.Kind)
		}
	}
	return m
}

func manifests(t *testing.T) map[string]manifest {
	t.Helper()
	files, err := filepath.Glob("kubernetes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	all := map[string]manifest{}
	for _, f := range files {
		all[filepath.Base(f)] = load(t, f)
	}
	return all
}

func TestManifests(t *testing.T) {
	for name, m := range manifests(t) {
		t.Run(name, func(t *testing.T) {
			volumes := map[string]core.Volume{}
			for _, v := range m.pod.Volumes {
				volumes[v.Name] = v
				m.sound(t, v)
			}
			for _, name := range m.claims {
				volumes[name] = core.Volume{Name: name}
			}
			for _, c := range slices.Concat(m.pod.InitContainers, m.pod.Containers) {
				for _, mount := range c.VolumeMounts {
					if _, found := volumes[mount.Name]; !found {
						t.Errorf("%s mounts %s, which is not a volume", c.Name, mount.Name)
					}
				}
				confined(t, c)
			}
			if m.pod.AutomountServiceAccountToken == nil || *m.pod.AutomountServiceAccountToken {
				t.Error("the pod has a service account's token that it does not need")
			}
			if s := m.pod.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot {
				t.Error("the pod may run as root")
			}
		})
	}
}

// sound: what a volume takes is there, and nothing with a token is on a disk.
func (m manifest) sound(t *testing.T, v core.Volume) {
	t.Helper()
	switch {
	case v.Secret != nil:
		s, found := m.secrets[v.Secret.SecretName]
		if !found {
			t.Errorf("volume %s: no secret %s", v.Name, v.Secret.SecretName)
		}
		for _, item := range v.Secret.Items {
			if _, found := s.StringData[item.Key]; !found {
				t.Errorf("volume %s: the secret has no %s", v.Name, item.Key)
			}
		}
		if v.Secret.DefaultMode == nil || *v.Secret.DefaultMode&0o007 != 0 {
			t.Errorf("volume %s is open to everybody, which tokend refuses", v.Name)
		}
	case v.ConfigMap != nil:
		if _, found := m.configs[v.ConfigMap.Name]; !found {
			t.Errorf("volume %s: no config map %s", v.Name, v.ConfigMap.Name)
		}
	case v.EmptyDir != nil:
		if v.EmptyDir.Medium != core.StorageMediumMemory || v.EmptyDir.SizeLimit == nil {
			t.Errorf("volume %s is an emptyDir on the node's disk, or takes all of its memory", v.Name)
		}
	default:
		t.Errorf("volume %s: the test does not know it", v.Name)
	}
}

// confined: a probe is a command, as the kubelet cannot reach a pod's loopback,
// and the container can do what it is there for and no more.
func confined(t *testing.T, c core.Container) {
	t.Helper()
	for _, p := range []*core.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p != nil && p.Exec == nil {
			t.Errorf("%s has a probe that is not a command", c.Name)
		}
	}
	s := c.SecurityContext
	if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
		s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") {
		t.Errorf("%s is not confined", c.Name)
	}
}

// selects: a selector matches the pods of this manifest.
func (m manifest) selects(t *testing.T, s *meta.LabelSelector) {
	t.Helper()
	selector, err := meta.LabelSelectorAsSelector(s)
	if err != nil || selector.Empty() || !selector.Matches(labels.Set(m.labels)) {
		t.Errorf("the selector %v does not match the pods' labels %v (%v)", s, m.labels, err)
	}
}

// listens: a port of a service or a policy, by its name or number, is one of a
// container.
func (m manifest) listens(t *testing.T, port intstr.IntOrString) {
	t.Helper()
	for _, c := range m.pod.Containers {
		for _, p := range c.Ports {
			if p.Name == port.String() || p.ContainerPort == port.IntVal {
				return
			}
		}
	}
	t.Errorf("no container has port %s", port.String())
}

// TestManifest_Replicas: service, budget and policy are for the pods of the deployment, and more
// pods run than the budget needs.
func TestManifest_Replicas(t *testing.T) {
	m := load(t, "kubernetes/replicas.yaml")
	if m.service == nil || m.budget == nil || m.network == nil || m.replicas < 2 {
		t.Fatal("a part is missing")
	}
	m.selects(t, meta.SetAsLabelSelector(m.service.Spec.Selector))
	m.selects(t, m.budget.Spec.Selector)
	m.selects(t, &m.network.Spec.PodSelector)
	for _, c := range m.pod.TopologySpreadConstraints {
		m.selects(t, c.LabelSelector)
	}
	for _, p := range m.service.Spec.Ports {
		m.listens(t, p.TargetPort)
	}
	for _, rule := range m.network.Spec.Ingress {
		for _, p := range rule.Ports {
			m.listens(t, *p.Port)
		}
	}
	if least := m.budget.Spec.MinAvailable.IntVal; least < 1 || least >= m.replicas {
		t.Errorf("%d of %d pods must be available: none may be evicted, or all", least, m.replicas)
	}
	if got := m.network.Spec.PolicyTypes; len(got) != 2 {
		t.Errorf("the policy is for %v", got)
	}
	out := map[int32]bool{}
	for _, rule := range m.network.Spec.Egress {
		for _, p := range rule.Ports {
			out[p.Port.IntVal] = true
		}
	}
	for _, port := range []int32{53, 443, 5432} { // names, provider, database
		if !out[port] {
			t.Errorf("tokend may not reach port %d", port)
		}
	}
}

// TestSecrets: tokend knows the variable that each value of a secret is named after;
// another one would be ignored.
func TestSecrets(t *testing.T) {
	known := read(t, "../docs/configuration.md")
	for file, m := range manifests(t) {
		for _, s := range m.secrets {
			for name := range s.StringData {
				variable := strings.TrimPrefix(name, "TOKEND_CLIENT_DEMO_") // listed without the prefix
				if s.Type != core.SecretTypeTLS && !strings.Contains(known, "| `"+variable+"` | ") {
					t.Errorf("%s: tokend reads no %s", file, name)
				}
			}
		}
	}
}
