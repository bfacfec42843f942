package node

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/netns"
)

// applyBasics creates what every cluster has and no component creates: the DNS Service with the node's CoreDNS behind it,
// CoreDNS's permissions, and the default storage class.
func (d *daemon) applyBasics(ctx context.Context) error {
	const namespace = metav1.NamespaceSystem
	role, binding := dnsRole()
	service, slice := dnsService(netns.Default)
	creations := []func() error{
		func() error {
			return createError(d.client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{}))
		},
		func() error {
			return createError(d.client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}))
		},
		func() error {
			return createError(d.client.CoreV1().Services(namespace).Create(ctx, service, metav1.CreateOptions{}))
		},
		func() error {
			return createError(d.client.DiscoveryV1().EndpointSlices(namespace).Create(ctx, slice, metav1.CreateOptions{}))
		},
		func() error {
			return createError(d.client.StorageV1().StorageClasses().Create(ctx, defaultStorageClass(), metav1.CreateOptions{}))
		},
	}
	for _, create := range creations {
		if err := create(); err != nil {
			return fmt.Errorf("create cluster basics: %w", err)
		}
	}
	return nil
}

func createError[T any](_ T, err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func dnsRole() (*rbacv1.ClusterRole, *rbacv1.ClusterRoleBinding) {
	const name = "system:coredns"
	read := []string{"list", "watch"}
	return &rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Rules: []rbacv1.PolicyRule{
				{APIGroups: []string{""}, Resources: []string{"services", "namespaces"}, Verbs: read},
				{APIGroups: []string{discoveryv1.GroupName}, Resources: []string{"endpointslices"}, Verbs: read},
			},
		}, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
		}
}

func dnsService(n netns.Network) (*corev1.Service, *discoveryv1.EndpointSlice) {
	const name = "kube-dns"
	labels := map[string]string{"k8s-app": name, "kubernetes.io/name": "CoreDNS"}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: corev1.ServiceSpec{ClusterIP: n.DNS, Ports: []corev1.ServicePort{
			{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP, TargetPort: intstr.FromInt32(53)},
			{Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(53)},
		}},
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name + "-node", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{n.Node}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
	}
	for _, p := range service.Spec.Ports {
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: new(p.Name), Port: new(p.Port), Protocol: new(p.Protocol)})
	}
	return service, slice
}
