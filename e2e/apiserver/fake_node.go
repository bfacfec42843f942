package apiserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// everything is a list or a Get without conditions.
var everything = metav1.ListOptions{}

// FakeNode plays what is missing without a node: a kubelet that starts and stops every pod at once, and the citadel in the pod
// istio-citadel, which publishes the roots of trust for as long as it runs.
type FakeNode struct {
	client kubernetes.Interface
	root   []byte // certificate as PEM
}

// NewFakeNode returns a Node with a root of its own, and starts nothing.
func NewFakeNode(client kubernetes.Interface) (*FakeNode, error) {
	root, err := newRoot()
	return &FakeNode{client, root}, err
}

// Run plays until ctx ends.
func (n *FakeNode) Run(ctx context.Context) {
	reconcilePod := func(object any) {
		if pod, ok := object.(*corev1.Pod); ok {
			n.reconcilePod(ctx, pod)
		}
	}
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(n.client.CoreV1().RESTClient(), "pods", "", fields.Everything()),
		ObjectType:    &corev1.Pod{},
		Handler:       cache.ResourceEventHandlerFuncs{AddFunc: reconcilePod, UpdateFunc: func(_, now any) { reconcilePod(now) }},
		ResyncPeriod:  time.Second, // what failed is tried again
	})
	informer.RunWithContext(ctx)
}

// reconcilePod does the next thing for a pod. Whoever changed or deleted it meanwhile wins; the next look repeats what failed.
func (n *FakeNode) reconcilePod(ctx context.Context, pod *corev1.Pod) {
	pods := n.client.CoreV1().Pods(pod.Namespace)
	switch {
	case pod.DeletionTimestamp != nil:
		var now int64
		_ = pods.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID}})
	case pod.Spec.NodeName == "":
		_ = pods.Bind(ctx, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
			Target:     corev1.ObjectReference{Kind: "Node", Name: "node"},
		}, metav1.CreateOptions{})
	case pod.Status.Phase != corev1.PodRunning:
		_, _ = pods.UpdateStatus(ctx, runningPod(pod), metav1.UpdateOptions{})
	case pod.Labels["istio"] == "citadel":
		n.publish(ctx)
	}
}

// runningPod is the pod with all its containers ready.
func runningPod(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Status.Phase = corev1.PodRunning
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()})
	}
	started := true
	for _, c := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, Ready: true, Started: &started,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
		})
	}
	return pod
}

// publish writes what citadel writes: its root, and the bundle of roots in every namespace. What is there stays.
func (n *FakeNode) publish(ctx context.Context) {
	mesh, err := n.client.CoreV1().Namespaces().Get(ctx, owner.MeshNamespace, metav1.GetOptions{})
	if err != nil {
		return
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "istio-ca-secret", Labels: owner.Labels("citadel")},
		Type:       "istio.io/ca-root", Data: map[string][]byte{"ca-cert.pem": n.root},
	}
	_, _ = n.client.CoreV1().Secrets(owner.MeshNamespace).Create(ctx, secret, metav1.CreateOptions{})
	namespaces, err := n.client.CoreV1().Namespaces().List(ctx, everything)
	if err != nil {
		return
	}
	for i := range namespaces.Items {
		if name := namespaces.Items[i].Name; !strings.HasPrefix(name, "kube-") {
			bundle := &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: "istio-ca-root-cert", Labels: owner.Labels("citadel"), OwnerReferences: []metav1.OwnerReference{
					{APIVersion: "v1", Kind: "Namespace", Name: mesh.Name, UID: mesh.UID},
				}},
				Data: map[string]string{"root-cert.pem": string(n.root)},
			}
			_, _ = n.client.CoreV1().ConfigMaps(name).Create(ctx, bundle, metav1.CreateOptions{})
		}
	}
}

func newRoot() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}
