package scenarios

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

const (
	editsInstallation = "TestInstallation" // name prefix of scenarios that call installation
	beginsEmpty       = "TestRemoval"      // name prefix of scenarios that call emptyCluster

	sampleInstallation = "config/samples/istio-installation.yaml"
)

// readyMesh provides a Ready mesh of the sample Installation. The scenario leaves the Installation and the control plane as
// they are, and runs in parallel with others of its kind.
func readyMesh(t *testing.T) {
	t.Helper()
	if hasPrefix(t, editsInstallation, beginsEmpty) {
		t.Fatalf("rename the scenario: %s... and %s... run on other clusters", editsInstallation, beginsEmpty)
	}
	must(t, installedMesh())
	t.Parallel()
	durations.measure(t)
}

// installation provides the same mesh for a scenario that edits the Installation or disturbs the control plane. It runs
// alone; the sample is restored when it ends.
func installation(t *testing.T) {
	t.Helper()
	if !hasPrefix(t, editsInstallation) {
		t.Fatalf("rename the scenario to %s...: the name selects its cluster", editsInstallation)
	}
	durations.measure(t)
	must(t, installedMesh())
	restoreAtEnd(t)
}

// emptyCluster provides a cluster without the operator and without Istio's CRDs. It returns the objects of the API.
func emptyCluster(t *testing.T) (objects []string) {
	t.Helper()
	if !hasPrefix(t, beginsEmpty) {
		t.Fatalf("rename the scenario to %s...: the name selects its cluster", beginsEmpty)
	}
	durations.measure(t)
	_, err := mesh.Client.CoreV1().Namespaces().Get(within(t, 30*time.Second), "istio-operator", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Fatalf("the cluster has an operator (%v): make scenarios-down", err)
	}
	deleteIstioCRDs(t)
	return snapshot(t)
}

func hasPrefix(t *testing.T, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(t.Name(), p) })
}

// deleteIstioCRDs deletes the CRDs that a removal leaves for the users' objects.
func deleteIstioCRDs(t *testing.T) {
	t.Helper()
	text, err := mesh.Kubectl(within(t, 30*time.Second), "get", "crds", "-o", "name")
	must(t, err)
	for name := range strings.Lines(text) {
		if name = strings.TrimSpace(name); strings.HasSuffix(name, ".istio.io") {
			_, err := mesh.Kubectl(within(t, time.Minute), "delete", name)
			must(t, err)
		}
	}
}

// installedMesh installs the operator and the sample Installation once in a run. On a kept cluster it restores the sample
// and, when images were built since, restarts what runs them.
var installedMesh = sync.OnceValue(func() error {
	ctx, cancel := context.WithTimeout(context.Background(), lab.Slack*10*time.Minute)
	defer cancel()
	if err := restartForNewImages(ctx); err != nil {
		return err
	}
	if _, err := mesh.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-k", lab.Operator); err != nil {
		return err
	}
	if err := mesh.Available(ctx, "istio-operator"); err != nil {
		return err
	}
	if err := applyInstallation(ctx); err != nil {
		return err
	}
	return restoreSample(ctx)
})

// restoreAtEnd restores the sample Installation when t ends.
func restoreAtEnd(t *testing.T) {
	t.Helper()
	atEnd(t, 4*time.Minute, restoreSample)
}

// testInstallation returns the sample. On the clusters of scenarios that edit or remove the Installation it has no add-ons, which
// would start many times: a scenario that is about one adds it.
func testInstallation() (*unstructured.Unstructured, error) {
	text, err := os.ReadFile(filepath.Join(mesh.Root, sampleInstallation))
	if err != nil {
		return nil, err
	}
	objects, err := lab.Objects(string(text))
	if err != nil {
		return nil, err
	}
	in := objects[0]
	in.SetNamespace("istio-operator")
	if name := os.Getenv("MESH_CLUSTER"); strings.HasSuffix(name, "-installation") || strings.HasSuffix(name, "-removal") {
		unstructured.RemoveNestedField(in.Object, "spec", "telemetry")
		for _, addon := range []string{"prometheus", "jaeger", "grafana"} {
			if err := unstructured.SetNestedField(in.Object, map[string]any{"enabled": false}, "spec", addon); err != nil {
				return nil, err
			}
		}
	}
	return in, nil
}

func applyInstallation(ctx context.Context) error {
	in, err := testInstallation()
	if err != nil {
		return err
	}
	return mesh.ApplyObjects(ctx, "istio-operator", []*unstructured.Unstructured{in})
}

// restoreSample gives the Installation the sample's spec and waits until the mesh has followed.
func restoreSample(ctx context.Context) error {
	sample, err := testInstallation()
	if err != nil {
		return err
	}
	err = lab.Until(ctx, "the sample is restored", func(ctx context.Context) error {
		in, err := mesh.Installation(ctx)
		if err != nil {
			return err
		}
		in.Object["spec"] = sample.Object["spec"]
		_, err = mesh.Dynamic.Resource(lab.InstallationResource).Namespace("istio-operator").Update(ctx, in, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	return settledMesh(ctx)
}

// settledMesh waits until the Installation is Ready for its spec and no rollout is under way.
func settledMesh(ctx context.Context) error {
	if err := mesh.InstallationReady(ctx); err != nil {
		return err
	}
	return mesh.Available(ctx, "istio-system")
}

// imagesAnnotation is on namespace kube-system and holds the digest of the images that the cluster's pods run.
const imagesAnnotation = "scenarios.example.com/images"

// restartForNewImages restarts the pods of a kept cluster that run older images under the same tags.
func restartForNewImages(ctx context.Context) error {
	digest, err := imagesDigest()
	if err != nil {
		return err
	}
	namespaces := mesh.Client.CoreV1().Namespaces()
	system, err := namespaces.Get(ctx, "kube-system", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if before := system.Annotations[imagesAnnotation]; before != "" && before != digest {
		for _, ns := range []string{"istio-operator", "istio-system", bookinfo, outside} {
			if _, err := mesh.Kubectl(ctx, "rollout", "restart", "deployment", "-n", ns); err != nil && !strings.Contains(err.Error(), "no resources found") {
				return err
			}
		}
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, imagesAnnotation, digest)
	_, err = namespaces.Patch(ctx, "kube-system", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

func imagesDigest() (string, error) {
	paths, err := filepath.Glob(filepath.Join(mesh.Root, ".out", "images", "*.tar"))
	if err != nil || len(paths) == 0 {
		return "", errors.New("find images: none in .out/images (make images)")
	}
	hash := sha256.New()
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(hash, file)
		file.Close()
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%x", hash.Sum(nil)), nil
}

// injected are the labels of a namespace whose pods get a sidecar.
var injected = map[string]string{"istio-injection": "enabled"}

// namespaceOwners is the scenario that uses each namespace.
var namespaceOwners sync.Map

// namespace creates a namespace for this scenario alone, waits until pods can be created in it, and deletes it at the
// scenario's end. What an interrupted run left in it is deleted first.
func namespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	if owner, taken := namespaceOwners.LoadOrStore(name, scenarioName(t)); taken && owner != scenarioName(t) {
		t.Fatalf("namespace %s belongs to %s: use another name", name, owner)
	}
	namespaces := mesh.Client.CoreV1().Namespaces()
	must(t, mesh.DeleteNamespace(within(t, 30*time.Second), name))
	must(t, lab.Gone(within(t, 3*time.Minute), "namespace "+name, func(ctx context.Context) error {
		_, err := namespaces.Get(ctx, name, metav1.GetOptions{})
		return err
	}))
	must(t, ensureNamespace(within(t, 2*time.Minute), name, labels))
	atEnd(t, 30*time.Second, func(ctx context.Context) error { return mesh.DeleteNamespace(ctx, name) })
}

// ensureNamespace creates a namespace, or labels it, and waits until pods can be created in it.
func ensureNamespace(ctx context.Context, name string, labels map[string]string) error {
	if err := mesh.EnsureNamespace(ctx, name, labels); err != nil {
		return err
	}
	return lab.Until(ctx, "namespace "+name+" has its service account", func(ctx context.Context) error {
		_, err := mesh.Client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// apply applies YAML and deletes its objects at the end of t, which may be a part of a scenario.
func apply(t *testing.T, namespace, text string) {
	t.Helper()
	must(t, mesh.Apply(within(t, time.Minute), namespace, text))
	atEnd(t, time.Minute, func(ctx context.Context) error { return mesh.Delete(ctx, namespace, text) })
}

// applyFile is apply of a file of the repository.
func applyFile(t *testing.T, namespace, path string) {
	t.Helper()
	apply(t, namespace, read(t, path))
}

// read returns a file of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(mesh.Root, path))
	must(t, err)
	return string(text)
}

// deploy applies files of the repository to a namespace and waits until its Deployments are available.
func deploy(t *testing.T, namespace string, paths ...string) {
	t.Helper()
	must(t, deployFiles(within(t, 5*time.Minute), namespace, paths...))
}

func deployFiles(ctx context.Context, namespace string, paths ...string) error {
	for _, path := range paths {
		if err := mesh.ApplyFile(ctx, namespace, path); err != nil {
			return err
		}
	}
	return mesh.Available(ctx, namespace)
}

const (
	bookinfo = "bookinfo" // namespace of the Bookinfo that scenarios share
	outside  = "outside"  // namespace of the client without a sidecar that scenarios share

	sleepSample = "samples/sleep/sleep.yaml"
)

// sharedBookinfo provides Bookinfo and a client with a sidecar in namespace bookinfo, open on the ingress gateway for every
// host. Scenarios that run in parallel only read it; it stays until the cluster ends.
func sharedBookinfo(t *testing.T) site {
	t.Helper()
	must(t, deployedBookinfo())
	return site{namespace: bookinfo}
}

var deployedBookinfo = sync.OnceValue(func() error {
	ctx, cancel := context.WithTimeout(context.Background(), lab.Slack*6*time.Minute)
	defer cancel()
	if err := ensureNamespace(ctx, bookinfo, injected); err != nil {
		return err
	}
	if err := deployFiles(ctx, bookinfo, append(bookinfoFiles, "samples/bookinfo/bookinfo-gateway.yaml", sleepSample)...); err != nil {
		return err
	}
	return opensPage(ctx, site{namespace: bookinfo})
})

// bookinfoFiles are Bookinfo and its subsets, without a gateway.
var bookinfoFiles = []string{"samples/bookinfo/bookinfo.yaml", "samples/bookinfo/destination-rule-all-mtls.yaml"}

// ownBookinfo provides a Bookinfo and a client of the scenario's own, open on the ingress gateway for host NAMESPACE.example.com.
func ownBookinfo(t *testing.T, name string) site {
	t.Helper()
	s := site{namespace: name, host: name + ".example.com"}
	namespace(t, name, injected)
	gateway := read(t, "samples/bookinfo/bookinfo-gateway.yaml")
	must(t, mesh.Apply(within(t, time.Minute), name, strings.ReplaceAll(gateway, `- "*"`, "- "+s.host)))
	deploy(t, name, append(bookinfoFiles, sleepSample)...)
	must(t, opensPage(within(t, 2*time.Minute), s))
	return s
}

// plaintextClient provides a client without a sidecar in namespace outside. It stays until the cluster ends.
func plaintextClient(t *testing.T) {
	t.Helper()
	must(t, deployedPlaintextClient())
}

var deployedPlaintextClient = sync.OnceValue(func() error {
	ctx, cancel := context.WithTimeout(context.Background(), lab.Slack*4*time.Minute)
	defer cancel()
	if err := ensureNamespace(ctx, outside, nil); err != nil {
		return err
	}
	return deployFiles(ctx, outside, sleepSample)
})
