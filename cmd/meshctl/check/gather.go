package check

import (
	"context"
	"fmt"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

const injectorWebhook = "istio-sidecar-injector"

// gatherer reads a cluster. What the user may not read is noted and left out.
type gatherer struct {
	client  kubernetes.Interface
	dynamic dynamic.Interface
	facts   Facts
}

// Gather reads what the checks ask. It fails where the API server does not answer.
func Gather(ctx context.Context, client kubernetes.Interface, dyn dynamic.Interface) (Facts, error) {
	g := &gatherer{client: client, dynamic: dyn, facts: Facts{Now: time.Now()}}
	info, err := client.Discovery().ServerVersion()
	if err != nil {
		return g.facts, fmt.Errorf("ask for the version of Kubernetes: %w", err)
	}
	g.facts.Version = info.GitVersion
	for _, step := range []struct {
		what string
		read func(context.Context) error
	}{
		{"your permissions", g.permissions}, {"nodes", g.nodes}, {"webhooks", g.webhooks}, {"namespaces and their pods", g.namespaces},
		{"the operator", g.operator}, {"the Installation", g.installation},
	} {
		err := step.read(ctx)
		switch {
		case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err):
			g.facts.Unreadable = append(g.facts.Unreadable, step.what)
		case err != nil:
			return g.facts, fmt.Errorf("read %s: %w", step.what, err)
		}
	}
	return g.facts, nil
}

// creates are the kinds of objects that whoever installs the operator creates.
var creates = []authorizationv1.ResourceAttributes{
	{Resource: "namespaces"},
	{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"},
	{Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
	{Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings"},
	{Group: "rbac.authorization.k8s.io", Resource: "roles", Namespace: owner.OperatorNamespace},
	{Group: "rbac.authorization.k8s.io", Resource: "rolebindings", Namespace: owner.OperatorNamespace},
	{Group: "admissionregistration.k8s.io", Resource: "validatingadmissionpolicies"},
	{Group: "admissionregistration.k8s.io", Resource: "validatingadmissionpolicybindings"},
	{Resource: "serviceaccounts", Namespace: owner.OperatorNamespace},
	{Group: "apps", Resource: "deployments", Namespace: owner.OperatorNamespace},
	{Group: "istio.openshift.com", Resource: "installations", Namespace: owner.OperatorNamespace},
}

func (g *gatherer) permissions(ctx context.Context) error {
	for _, attributes := range creates {
		attributes.Verb = "create"
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &attributes}}
		answer, err := g.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		if !answer.Status.Allowed {
			where := ""
			if attributes.Namespace != "" {
				where = " in " + attributes.Namespace
			}
			g.facts.Missing = append(g.facts.Missing, "create "+attributes.Resource+where)
		}
	}
	return nil
}

func (g *gatherer) nodes(ctx context.Context) error {
	list, err := g.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, n := range list.Items {
		info := n.Status.NodeInfo
		g.facts.Nodes = append(g.facts.Nodes, Node{n.Name, info.OperatingSystem, info.Architecture, info.KernelVersion})
	}
	return nil
}

// webhooks finds injectors: of another mesh, and our own.
func (g *gatherer) webhooks(ctx context.Context) error {
	list, err := g.client.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	g.facts.Webhook = "the injector's webhook " + injectorWebhook + " does not exist"
	for i := range list.Items {
		config := &list.Items[i]
		switch {
		case owner.Owned(config.Labels) && config.Name == injectorWebhook:
			g.facts.Webhook = ""
			if len(config.Webhooks) == 0 || len(config.Webhooks[0].ClientConfig.CABundle) == 0 {
				g.facts.Webhook = "the injector's webhook has no root of trust"
			}
		case !owner.Owned(config.Labels) && isInjector(config):
			g.facts.Meshes = append(g.facts.Meshes, "MutatingWebhookConfiguration "+config.Name)
		}
	}
	return nil
}

// isInjector recognises the injectors of Istio and Linkerd.
func isInjector(config *admissionv1.MutatingWebhookConfiguration) bool {
	if config.Labels["app"] == "sidecar-injector" || config.Labels["operator.istio.io/component"] != "" || config.Labels["linkerd.io/control-plane-component"] == "proxy-injector" {
		return true
	}
	for _, webhook := range config.Webhooks {
		if service := webhook.ClientConfig.Service; service != nil && strings.HasPrefix(service.Name, "istiod") {
			return true
		}
	}
	return false
}

func (g *gatherer) namespaces(ctx context.Context) error {
	list, err := g.client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: "istio-injection=enabled"})
	if err != nil {
		return err
	}
	for _, ns := range list.Items {
		pods, err := g.client.CoreV1().Pods(ns.Name).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		found := Namespace{Name: ns.Name, Enforced: ns.Labels["pod-security.kubernetes.io/enforce"]}
		for i := range pods.Items {
			if lacksSidecar(&pods.Items[i]) {
				found.Uninjected = append(found.Uninjected, pods.Items[i].Name)
			}
		}
		g.facts.Namespaces = append(g.facts.Namespaces, found)
	}
	return nil
}

// lacksSidecar reports a running pod without a sidecar that has not refused one.
func lacksSidecar(pod *corev1.Pod) bool {
	const refusal = "sidecar.istio.io/inject"
	if pod.Spec.HostNetwork || pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed ||
		pod.Labels[refusal] == "false" || pod.Annotations[refusal] == "false" {
		return false
	}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range containers {
			if c.Name == "istio-proxy" {
				return false
			}
		}
	}
	return true
}

// operator finds the operator's Deployment by its label, in whatever namespace OLM has put it.
func (g *gatherer) operator(ctx context.Context) error {
	list, err := g.client.AppsV1().Deployments("").List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=istio-operator"})
	if err != nil {
		return err
	}
	for _, d := range list.Items {
		if d.Spec.Template.Labels["name"] == "istio-operator" {
			g.facts.Operator = Workload{Namespace: d.Namespace, Available: d.Status.AvailableReplicas > 0}
		}
	}
	return nil
}

func (g *gatherer) installation(ctx context.Context) error {
	list, err := g.dynamic.Resource(v1alpha1.GroupVersion.WithResource("installations")).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil // the definition is missing, so the operator is not installed
	}
	if err != nil {
		return err
	}
	for i := range list.Items {
		in := &v1alpha1.Installation{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, in); err != nil {
			return fmt.Errorf("decode: %w", err)
		}
		g.facts.Installation = in
	}
	return nil
}
