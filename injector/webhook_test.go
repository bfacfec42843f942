package injector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	metadatafake "k8s.io/client-go/metadata/fake"

	"github.com/mesh-operator/mesh-operator/internal/admission"
	"github.com/mesh-operator/mesh-operator/internal/injecttemplate"
)

func testWebhook(t *testing.T, labels map[string]string, err error) *webhook {
	s := testSettings(t)
	return newWebhook(func() *Settings { return s },
		func(context.Context, string) (map[string]string, error) { return labels, err },
		slog.New(slog.DiscardHandler), prometheus.NewRegistry())
}

func review(t *testing.T, w *webhook, pod string) *admissionv1.AdmissionResponse {
	t.Helper()
	return w.review(t.Context(), request(pod))
}

func request(pod string) *admissionv1.AdmissionRequest {
	return &admissionv1.AdmissionRequest{
		UID: "1", Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Namespace: "shop", Operation: admissionv1.Create,
		Object: runtime.RawExtension{Raw: []byte(pod)},
	}
}

const smallPod = `{"metadata":{"name":"a"},"spec":{"containers":[{"name":"app"}]}}`

func TestReviewPatches(t *testing.T) {
	response := review(t, testWebhook(t, map[string]string{namespaceLabel: "enabled"}, nil), smallPod)
	if !response.Allowed || response.PatchType == nil || *response.PatchType != admissionv1.PatchTypeJSONPatch {
		t.Fatalf("response %+v", response)
	}
	var patch []Operation
	if err := json.Unmarshal(response.Patch, &patch); err != nil {
		t.Fatal(err)
	}
	pod := string(apply(t, []byte(smallPod), patch))
	if again := review(t, testWebhook(t, map[string]string{namespaceLabel: "enabled"}, nil), pod); again.Patch != nil {
		t.Errorf("a second call patches again: %s", again.Patch)
	}
}

func TestReviewLeavesAlone(t *testing.T) {
	response := review(t, testWebhook(t, nil, nil), smallPod)
	if !response.Allowed || response.Patch != nil {
		t.Errorf("response %+v", response)
	}
	if want := "nobodyAsked: neither the pod nor its namespace asks for a sidecar"; response.AuditAnnotations["decision"] != want {
		t.Errorf("decision %q, want %q", response.AuditAnnotations["decision"], want)
	}
}

// TestTheNamespaceAsked: at that path the pod gets its sidecar though the watch does not show the namespace's label yet; the
// annotation of a pod that refuses still holds, and the cache of the watch is not changed.
func TestTheNamespaceAsked(t *testing.T) {
	const refusing = `{"metadata":{"name":"a","annotations":{"sidecar.istio.io/inject":"false"}},"spec":{"containers":[{"name":"app"}]}}`
	for name, known := range map[string]map[string]string{"Nothing": nil, "Unlabelled": {"team": "a"}, "Disabled": {namespaceLabel: "disabled"}} {
		t.Run(name, func(t *testing.T) {
			before := maps.Clone(known)
			w := testWebhook(t, known, nil)
			if response := w.reviewAsked(t.Context(), request(smallPod)); !response.Allowed || response.Patch == nil {
				t.Errorf("not injected: %+v", response)
			}
			if response := w.reviewAsked(t.Context(), request(refusing)); !response.Allowed || response.Patch != nil {
				t.Errorf("a pod that refuses: %+v", response)
			}
			if diff := cmp.Diff(before, known); diff != "" {
				t.Errorf("the watch's labels changed (-before +after):\n%s", diff)
			}
		})
	}
}

// TestReviewFailsClosed: a pod whose namespace cannot be looked up is refused, not started without a sidecar.
func TestReviewFailsClosed(t *testing.T) {
	if review(t, testWebhook(t, nil, errors.New("no API server")), smallPod).Allowed {
		t.Error("allowed without the namespace's labels")
	}
}

func TestReviewRefusesBadPods(t *testing.T) {
	w := testWebhook(t, map[string]string{namespaceLabel: "enabled"}, nil)
	for _, pod := range []string{`{"spec":1}`, `{"metadata":{"annotations":{"sidecar.istio.io/proxyImage":"evil"}},"spec":{"containers":[{"name":"app"}]}}`} {
		if response := review(t, w, pod); response.Allowed || response.Result.Code != 400 {
			t.Errorf("%s: %+v", pod, response)
		}
	}
}

// metadataOf is an API server with one namespace, labelled for injection; asked counts the requests for namespaces.
func metadataOf(t *testing.T, namespace string) (client *metadatafake.FakeMetadataClient, asked func() int) {
	t.Helper()
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	client = metadatafake.NewSimpleMetadataClient(scheme, &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{namespaceLabel: "enabled"}},
	})
	return client, func() int { return len(client.Actions()) }
}

// TestYoungNamespace: a namespace that the watch has not shown yet is asked for.
func TestYoungNamespace(t *testing.T) {
	client, _ := metadataOf(t, "young")
	n := newNamespaces(client)
	labels, err := n.labels(t.Context(), "young")
	if err != nil || labels[namespaceLabel] != "enabled" {
		t.Errorf("labels %v, error %v", labels, err)
	}
	if labels, err := n.labels(t.Context(), "absent"); err != nil || labels != nil {
		t.Errorf("absent: labels %v, error %v", labels, err)
	}
}

// TestLookupsAreLimitedPerClient: a client that sends pods of namespaces that do not exist is refused after a while and causes no
// more requests; the first pod of a new namespace is admitted all the same.
func TestLookupsAreLimitedPerClient(t *testing.T) {
	client, asked := metadataOf(t, "young")
	hook := testWebhook(t, nil, nil)
	hook.labels = newNamespaces(client).labels
	handler := withCaller(admission.NewHandler(hook.review, slog.New(slog.DiscardHandler)))
	ask := func(from, namespace string) *admissionv1.AdmissionResponse {
		t.Helper()
		body := fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","kind":{"version":"v1","kind":"Pod"},
			"namespace":%q,"operation":"CREATE","object":%s}}`, namespace, smallPod)
		request := httptest.NewRequest(http.MethodPost, "/inject", strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		request.RemoteAddr = from
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		var review admissionv1.AdmissionReview
		if err := json.Unmarshal(recorder.Body.Bytes(), &review); err != nil || review.Response == nil {
			t.Fatalf("answer %s, error %v", recorder.Body, err)
		}
		return review.Response
	}
	const questions = 20 * unknownBurst
	refused := 0
	for i := range questions {
		if !ask(fmt.Sprintf("10.244.0.9:%d", 1024+i), fmt.Sprintf("absent-%d", i)).Allowed {
			refused++
		}
	}
	if refused == 0 || asked()+refused != questions {
		t.Errorf("of %d questions %d cost a request, %d were refused", questions, asked(), refused)
	}
	if response := ask("192.0.2.1:443", "young"); !response.Allowed || response.Patch == nil {
		t.Errorf("the first pod of a new namespace: %+v", response)
	}
}

// TestReload: new files count from the next load on; wrong ones change nothing.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &source{configFile: filepath.Join(dir, "config"), valuesFile: filepath.Join(dir, "values"), log: slog.New(slog.DiscardHandler)}
	if err := s.load(); err == nil {
		t.Error("loaded without files")
	}
	write("config", injecttemplate.Config())
	write("values", testValues)
	if err := s.load(); err != nil {
		t.Fatal(err)
	}
	first := s.settings()
	write("config", "policy: nonsense")
	if err := s.load(); err == nil || s.settings() != first || !s.failing.Load() {
		t.Errorf("a wrong file: error %v, settings changed %t", err, s.settings() != first)
	}
	write("config", injecttemplate.Config())
	write("values", `{"proxyImage":"other:1"}`)
	if err := s.load(); err != nil || s.settings().values.ProxyImage != "other:1" || s.failing.Load() {
		t.Errorf("a new file: error %v, image %s", err, s.settings().values.ProxyImage)
	}
}
