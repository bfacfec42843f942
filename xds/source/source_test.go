package source

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	fakedynamic "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// cluster is an API server in memory with a Source that watches it.
type cluster struct {
	t         *testing.T
	client    *fake.Clientset
	dynamic   *fakedynamic.FakeDynamicClient
	watches   chan string // resources whose watch has begun: before that, the API server in memory tells of no change
	published chan mesh.Inputs
	served    servedKinds
	source    *Source
}

// servedKinds answers discovery while the test installs kinds; client-go's own fake has no lock.
type servedKinds struct {
	discovery.DiscoveryInterface
	mu    sync.Mutex
	lists []*metav1.APIResourceList
}

func (k *servedKinds) ServerResourcesForGroupVersion(version string) (*metav1.APIResourceList, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, list := range k.lists {
		if list.GroupVersion == version {
			return list, nil
		}
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: version}, "")
}

func newCluster(t *testing.T, kinds ...istioconfig.Kind) *cluster {
	c := &cluster{t: t, client: fake.NewClientset(), published: make(chan mesh.Inputs), watches: make(chan string, 100)}
	lists := map[schema.GroupVersionResource]string{}
	for _, kind := range istioconfig.EnforcedKinds() {
		lists[kind.Resource()] = string(kind) + "List"
	}
	c.dynamic = fakedynamic.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists)
	c.client.PrependWatchReactor("*", c.watch(c.client.Tracker()))
	c.dynamic.PrependWatchReactor("*", c.watch(c.dynamic.Tracker()))
	c.install(kinds...)
	return c
}

func (c *cluster) watch(tracker clienttesting.ObjectTracker) clienttesting.WatchReactionFunc {
	return func(action clienttesting.Action) (bool, watch.Interface, error) {
		w, err := tracker.Watch(action.GetResource(), action.GetNamespace())
		c.watches <- action.GetResource().Resource
		return true, w, err
	}
}

func (c *cluster) watching(resources ...string) {
	c.t.Helper()
	deadline := time.After(20 * time.Second)
	for len(resources) > 0 {
		select {
		case name := <-c.watches:
			resources = slices.DeleteFunc(resources, func(r string) bool { return r == name })
		case <-deadline:
			c.t.Fatalf("nobody watches %v", resources)
		}
	}
}

// install makes the API server serve these kinds only.
func (c *cluster) install(kinds ...istioconfig.Kind) {
	byVersion := map[string]*metav1.APIResourceList{}
	var lists []*metav1.APIResourceList
	for _, kind := range kinds {
		gvr := kind.Resource()
		version := gvr.GroupVersion().String()
		if byVersion[version] == nil {
			byVersion[version] = &metav1.APIResourceList{GroupVersion: version}
			lists = append(lists, byVersion[version])
		}
		byVersion[version].APIResources = append(byVersion[version].APIResources, metav1.APIResource{Name: gvr.Resource, Kind: string(kind)})
	}
	c.served.mu.Lock()
	defer c.served.mu.Unlock()
	c.served.lists = lists
}

func (c *cluster) start() {
	ctx, cancel := context.WithCancel(c.t.Context())
	c.source = New(Options{
		Kubernetes: c.client, Dynamic: c.dynamic, MeshNamespace: "istio-system", Logger: slog.New(slog.DiscardHandler),
		Publish: func(in mesh.Inputs) {
			select {
			case c.published <- in:
			case <-ctx.Done():
			}
		},
	})
	for _, f := range c.source.feeds {
		if f, ok := f.(*configFeed); ok {
			f.every = 20 * time.Millisecond
			f.api = &c.served
		}
	}
	done := make(chan error)
	go func() { done <- c.source.Run(ctx) }()
	c.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Error(err)
		}
	})
}

// until waits for inputs that have what is looked for.
func (c *cluster) until(what string, has func(mesh.Inputs) bool) mesh.Inputs {
	c.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case in := <-c.published:
			if has(in) {
				return in
			}
		case <-deadline:
			c.t.Fatalf("no inputs with %s; %v", what, c.source.CheckReady())
		}
	}
}

func (c *cluster) create(kind istioconfig.Kind, name string, generation int64, spec map[string]any) {
	c.t.Helper()
	if _, err := c.dynamic.Resource(kind.Resource()).Namespace("bookinfo").Create(c.t.Context(), config(kind, name, generation, spec), metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

func config(kind istioconfig.Kind, name string, generation int64, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetAPIVersion(kind.Resource().GroupVersion().String())
	u.SetKind(string(kind))
	u.SetNamespace("bookinfo")
	u.SetName(name)
	u.SetGeneration(generation)
	return u
}

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "bookinfo", Name: name}
}

var everyKind = istioconfig.EnforcedKinds()

func TestInputsFollowTheAPIServer(t *testing.T) {
	c := newCluster(t, everyKind...)
	c.add(&corev1.Service{ObjectMeta: named("reviews")})
	c.create(istioconfig.VirtualService, "reviews", 1, map[string]any{"hosts": []any{"reviews"}})
	c.start()
	in := c.until("what was there at the start", func(mesh.Inputs) bool { return true })
	if in.Services.Len() != 1 || in.Config.Len() != 1 || in.MeshNamespace != "istio-system" {
		t.Errorf("first inputs have services %v, config %v, mesh namespace %q", in.Services, in.Config, in.MeshNamespace)
	}
	c.watching("pods", "virtualservices", "destinationrules")
	c.add(&corev1.Pod{ObjectMeta: named("reviews-v1")})
	in = c.until("the pod", func(in mesh.Inputs) bool { return in.Pods.Len() == 1 })
	if in.Services.Len() != 1 || in.Config.Len() != 1 {
		t.Errorf("what did not change is lost: services %v, config %v", in.Services, in.Config)
	}
	c.create(istioconfig.DestinationRule, "reviews", 1, map[string]any{"host": "reviews"})
	c.until("the rule", func(in mesh.Inputs) bool { return in.Config.Len() == 2 })
	if err := c.dynamic.Resource(istioconfig.VirtualService.Resource()).Namespace("bookinfo").Delete(t.Context(), "reviews", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("one object less", func(in mesh.Inputs) bool { return in.Config.Len() == 1 })
}

func (c *cluster) add(object runtime.Object) {
	c.t.Helper()
	if err := c.client.Tracker().Add(object); err != nil {
		c.t.Fatal(err)
	}
}

func TestPublishWaitsForEveryList(t *testing.T) {
	c := newCluster(t, everyKind...)
	release := make(chan struct{})
	c.client.PrependReactor("list", "endpointslices", func(clienttesting.Action) (bool, runtime.Object, error) {
		select {
		case <-release:
			return false, nil, nil
		default:
			return true, nil, errors.New("not now")
		}
	})
	listed := make(chan struct{}, 1)
	c.client.PrependReactor("list", "endpointslices", func(clienttesting.Action) (bool, runtime.Object, error) {
		select {
		case listed <- struct{}{}:
		default:
		}
		return false, nil, nil
	})
	c.add(&corev1.Service{ObjectMeta: named("reviews")})
	c.start()
	<-listed
	select {
	case in := <-c.published:
		t.Errorf("published without endpoint slices: %v", in)
	default:
	}
	if err := c.source.CheckReady(); err == nil {
		t.Error("CheckReady = nil, want the list that is missing")
	}
	close(release)
	c.until("the service", func(in mesh.Inputs) bool { return in.Services.Len() == 1 })
}

func TestKindNotInstalledIsEmpty(t *testing.T) {
	c := newCluster(t)
	c.start()
	in := c.until("nothing", func(mesh.Inputs) bool { return true })
	if in.Config.Len() != 0 {
		t.Errorf("config = %v, want none", in.Config)
	}
}

func TestKindInstalledLaterIsWatched(t *testing.T) {
	c := newCluster(t)
	c.start()
	c.until("nothing", func(mesh.Inputs) bool { return true })
	c.create(istioconfig.Gateway, "bookinfo", 1, map[string]any{"selector": map[string]any{"istio": "ingressgateway"}})
	c.install(istioconfig.Gateway)
	c.until("the gateway", func(in mesh.Inputs) bool { return in.Config.Len() == 1 })
}

func TestUndecodableObjectKeepsLastVersion(t *testing.T) {
	c := newCluster(t, everyKind...)
	c.create(istioconfig.VirtualService, "reviews", 1, map[string]any{"hosts": []any{"reviews"}})
	c.start()
	c.until("the object", func(in mesh.Inputs) bool { return in.Config.Len() == 1 })
	c.watching("virtualservices")
	bad := config(istioconfig.VirtualService, "reviews", 2, map[string]any{"hosts": "reviews"})
	if _, err := c.dynamic.Resource(istioconfig.VirtualService.Resource()).Namespace("bookinfo").Update(t.Context(), bad, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.create(istioconfig.VirtualService, "ratings", 1, map[string]any{"hosts": []any{"ratings"}})
	in := c.until("both", func(in mesh.Inputs) bool { return in.Config.Len() == 2 })
	for o := range in.Config.Values() {
		if len(o.Spec.(*networking.VirtualService).GetHosts()) != 1 {
			t.Errorf("%s has hosts %v, want the last good one", o, o.Spec)
		}
	}
}

func TestTrimSecret(t *testing.T) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{}}, Annotations: map[string]string{lastApplied: "all of it"}},
		Data:       map[string][]byte{"tls.crt": nil, "tls.key": nil, "ca.crl": nil, "password": nil},
	}
	if _, err := trim(secret); err != nil {
		t.Fatal(err)
	}
	if len(secret.Data) != 3 || secret.ManagedFields != nil || len(secret.Annotations) != 0 {
		t.Errorf("trimmed secret still has %v", secret)
	}
}

func TestEqualIgnoringVersion(t *testing.T) {
	pod := func(version, ip string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}, Status: corev1.PodStatus{PodIP: ip}}
	}
	if !equalIgnoringVersion(pod("1", "a"), pod("2", "a")) {
		t.Error("a pod that was only written again counts as changed")
	}
	if equalIgnoringVersion(pod("1", "a"), pod("2", "b")) {
		t.Error("a pod with another address counts as the equalIgnoringVersion")
	}
}

// TestTrimKeepsSidecarVersion and nothing else of what tenants write into annotations.
func TestTrimKeepsSidecarVersion(t *testing.T) {
	for status, want := range map[string]string{
		`{"revision":"default","version":"0123456789abcdef"}`: "0123456789abcdef",
		`{"revision":"default"}`:                              "", `{"version":"a tenant's own"}`: "", `{"version":7}`: "", `nonsense`: "", "": "",
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{names.SidecarStatusAnnotation: status, "other": "x"}}}
		if _, err := trim(pod); err != nil {
			t.Fatal(err)
		}
		if got := pod.Annotations[mesh.SidecarVersion]; got != want || len(pod.Annotations) > 1 || pod.Annotations["other"] != "" {
			t.Errorf("status %s leaves %v, want version %q", status, pod.Annotations, want)
		}
	}
}
