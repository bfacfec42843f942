package envoy

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"golang.org/x/tools/txtar"
	"google.golang.org/protobuf/encoding/protojson"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/golden"
	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/analyze"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

const cases = "testdata/*.txtar"

// TestGolden translates each case for one proxy. The sections:
//
//	input.yaml   Kubernetes and Istio objects; the mesh configuration is the ConfigMap istio; with the comment
//	             "# with: file.yaml" the objects of that file of testdata too
//	proxy        namespace/pod
//	show         the resources to show, as TYPE and a pattern of their name, and below a dot the path of a part
func TestGolden(t *testing.T) {
	golden.Run(t, cases, func(t *testing.T, c golden.Case) map[string]string {
		set, problems := translate(t, c)
		out := map[string]string{"want.names": resourceNames(set)}
		if text := problemLines(problems); text != "" {
			out["want.problems"] = text
		}
		for line := range strings.Lines(strings.TrimSpace(string(c.Files["show"]))) {
			for name, text := range show(t, set, strings.TrimSpace(line)) {
				out[name] = text
			}
		}
		return out
	})
}

func translate(t *testing.T, c golden.Case) (*resource.Set, []mesh.Problem) {
	t.Helper()
	snapshot, s := view(t, c)
	set, problems := NewBuilder().Build(s)
	all := slices.Concat(snapshot.Problems, analyze.Check(snapshot))
	slices.SortFunc(all, mesh.CompareProblems)
	return set, append(all, problems...)
}

func view(t *testing.T, c golden.Case) (*mesh.Snapshot, scope.Scope) {
	t.Helper()
	snapshot := mesh.Build(nil, inputs(t, string(c.Files["input.yaml"])))
	namespace, pod, _ := strings.Cut(strings.TrimSpace(string(c.Files["proxy"])), "/")
	proxy, ok := snapshot.Proxy(namespace, pod)
	if !ok {
		t.Fatalf("no pod %s/%s in the input", namespace, pod)
	}
	return snapshot, scope.For(snapshot, *proxy)
}

// inputs reads the objects of a case.
func inputs(t *testing.T, text string) mesh.Inputs {
	t.Helper()
	in := mesh.Inputs{MeshNamespace: "istio-system", MeshConfig: &meshv1alpha1.MeshConfig{}, MTLS: mesh.Permissive}
	for line := range strings.Lines(text) {
		if file, ok := strings.CutPrefix(strings.TrimSpace(line), "# with: "); ok {
			base, err := os.ReadFile(filepath.Join("testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			text = string(base) + "\n---\n" + text
		}
	}
	for _, document := range strings.Split("\n"+text, "\n---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		if len(u.Object) > 0 {
			addInput(t, &in, u, []byte(document))
		}
	}
	return in
}

func addInput(t *testing.T, in *mesh.Inputs, u *unstructured.Unstructured, text []byte) {
	t.Helper()
	into := func(object any) {
		if err := yaml.UnmarshalStrict(text, object); err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
	}
	switch u.GetKind() {
	case "Service":
		o := &corev1.Service{}
		into(o)
		mesh.Add(&in.Services, o)
	case "EndpointSlice":
		o := &discoveryv1.EndpointSlice{}
		into(o)
		mesh.Add(&in.EndpointSlices, o)
	case "Pod":
		o := &corev1.Pod{}
		into(o)
		mesh.Add(&in.Pods, o)
	case "Secret":
		s := &corev1.Secret{}
		into(s)
		s.Data = map[string][]byte{}
		certificate, key := keyPair(t)
		for k, v := range s.StringData {
			s.Data[k] = []byte(strings.NewReplacer("A CERTIFICATE", certificate, "ITS KEY", key).Replace(v))
		}
		mesh.Add(&in.Secrets, s)
	case "ConfigMap":
		c := &corev1.ConfigMap{}
		into(c)
		in.MeshConfig, in.TrustClientTraces = meshConfig(t, c.Data["mesh"]), c.Data["trustClientTraces"] == "true"
	default:
		o, err := istioconfig.Decode(u)
		if err != nil {
			t.Fatal(err)
		}
		mesh.AddConfig(&in.Config, o)
	}
}

func meshConfig(t *testing.T, text string) *meshv1alpha1.MeshConfig {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m := &meshv1alpha1.MeshConfig{}
	if err := protojson.Unmarshal(raw, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// names lists every resource of a set with what it was built from.
func resourceNames(set *resource.Set) string {
	var b strings.Builder
	for _, typ := range []resource.Type{resource.Cluster, resource.Endpoint, resource.Listener, resource.Route, resource.Secret} {
		for name, r := range set.Of(typ).All() {
			fmt.Fprintf(&b, "%s %s", typ.Short(), name)
			if sources := r.Sources; len(sources) > 0 && len(sources) < 4 {
				fmt.Fprintf(&b, "  %s", sources)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func problemLines(problems []mesh.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%s %s: %s\n", p.Object, p.Field, p.Reason)
	}
	return b.String()
}

// show renders the resources that a line asks for.
func show(t *testing.T, set *resource.Set, line string) map[string]string {
	t.Helper()
	typ, pattern, _ := strings.Cut(line, " ")
	out := map[string]string{}
	for _, of := range []resource.Type{resource.Cluster, resource.Endpoint, resource.Listener, resource.Route, resource.Secret} {
		for name, r := range set.Of(of).All() {
			if of.Short() != typ {
				continue
			}
			if ok, err := filepath.Match(pattern, name); err != nil {
				t.Fatal(err)
			} else if ok {
				out["want."+typ+" "+name+".yaml"] = render(t, r)
			}
		}
	}
	if len(out) == 0 {
		t.Errorf("nothing matches %q", line)
	}
	return out
}

// render is a resource as YAML. protojson varies its white space on purpose, encoding/json does not.
func render(t *testing.T, r *resource.Resource) string {
	t.Helper()
	m, err := r.Body.UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	switch m := m.(type) {
	case *tlsv3.Secret:
		hide(m)
	case *listenerv3.Listener:
		shortenMetrics(t, m)
	}
	raw, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		t.Fatal(err)
	}
	text, err := yaml.JSONToYAML(compact.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// shortenMetrics leaves of the loggers that make the metrics their names: they are the same on every listener of a side, and
// TestMetricContract shows what they do.
func shortenMetrics(t *testing.T, l *listenerv3.Listener) {
	t.Helper()
	eachMetricsLogger(t, l, func(logger *accesslogv3.AccessLog) { logger.Filter, logger.ConfigType = nil, nil })
}

// readCase reads the inputs of a case.
func readCase(t *testing.T, path string) golden.Case {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := golden.Case{Name: strings.TrimSuffix(filepath.Base(path), ".txtar"), Files: map[string][]byte{}}
	for _, f := range archive.Files {
		c.Files[f.Name] = f.Data
	}
	return c
}

// eachCase calls check with the translation of every case.
func eachCase(t *testing.T, check func(t *testing.T, c golden.Case, set *resource.Set)) {
	t.Helper()
	paths, err := filepath.Glob(cases)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases (%v)", err)
	}
	for _, path := range paths {
		c := readCase(t, path)
		t.Run(c.Name, func(t *testing.T) {
			set, _ := translate(t, c)
			check(t, c, set)
		})
	}
}

// keyPair makes a self-signed certificate and its key, so that no key is kept in a file.
func keyPair(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"web.example.com"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", keyDER)
}

// hide replaces what differs from run to run.
func hide(s *tlsv3.Secret) {
	for _, d := range []*corev3.DataSource{
		s.GetTlsCertificate().GetCertificateChain(), s.GetTlsCertificate().GetPrivateKey(), s.GetValidationContext().GetTrustedCa(),
	} {
		if len(d.GetInlineBytes()) > 0 {
			d.Specifier = &corev3.DataSource_InlineString{InlineString: "hidden"}
		}
	}
}
