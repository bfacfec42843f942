package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/internal/spiffe"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// identify finds out who opened a connection. A nil identity is that of a client on the plaintext loopback listener: its node
// id names the pod, which has to exist.
type identify func(context.Context) (*spiffe.ID, error)

// byCertificate takes the identity of the verified client certificate.
func byCertificate(ctx context.Context) (*spiffe.ID, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "no peer")
	}
	tls, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(tls.State.VerifiedChains) == 0 || len(tls.State.VerifiedChains[0]) == 0 {
		return nil, status.Error(codes.Unauthenticated, "no verified client certificate")
	}
	id, err := spiffe.FromCertificate(tls.State.VerifiedChains[0][0])
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	return &id, nil
}

func byNode(context.Context) (*spiffe.ID, error) { return nil, nil }

// maxNodeIDLength is far more than the names of a pod and a namespace and an address can add up to.
const maxNodeIDLength = 1024

// nodeID is what a proxy says of itself; it is believed only where the certificate and the Pod object agree.
type nodeID struct {
	Type      mesh.ProxyType
	IP        string
	Pod       string
	Namespace string
}

// parseNodeID reads "sidecar~10.0.0.1~reviews-v1-abc.bookinfo~bookinfo.svc.cluster.local". A pod's name may have dots in
// it, a namespace's cannot.
func parseNodeID(id string) (nodeID, error) {
	parts := strings.Split(id, "~")
	if len(parts) != 4 || len(id) > maxNodeIDLength {
		return nodeID{}, errors.New("node id is not type~ip~pod.namespace~domain")
	}
	dot := strings.LastIndexByte(parts[2], '.')
	if dot <= 0 || dot == len(parts[2])-1 {
		return nodeID{}, errors.New("node id does not name a pod and its namespace")
	}
	n := nodeID{Type: mesh.ProxyType(parts[0]), IP: parts[1], Pod: parts[2][:dot], Namespace: parts[2][dot+1:]}
	if n.Type != mesh.Sidecar && n.Type != mesh.Router {
		return nodeID{}, errors.New("node id is neither of a sidecar nor of a router")
	}
	return n, nil
}

// authorize decides whether the caller with this identity may have the configuration of the pod that node names. The
// namespace comes first: only a client of the same namespace may find out whether a pod exists.
func authorize(snapshot *mesh.Snapshot, id *spiffe.ID, node *corev3.Node) (mesh.Proxy, error) {
	n, err := parseNodeID(node.GetId())
	if err != nil {
		return mesh.Proxy{}, status.Error(codes.InvalidArgument, err.Error())
	}
	if snapshot == nil {
		return mesh.Proxy{}, status.Error(codes.Unavailable, "pilot has no configuration yet")
	}
	if id != nil && id.TrustDomain != snapshot.Settings.TrustDomain {
		return mesh.Proxy{}, denied("certificate is of trust domain %s, the mesh is %s", id.TrustDomain, snapshot.Settings.TrustDomain)
	}
	if id != nil && id.Namespace != n.Namespace {
		return mesh.Proxy{}, denied("node claims namespace %s, certificate is of namespace %s", n.Namespace, id.Namespace)
	}
	proxy, ok := snapshot.Proxy(n.Namespace, n.Pod)
	if !ok {
		// The pod may be seconds old: the proxy tries again.
		return mesh.Proxy{}, status.Errorf(codes.Unavailable, "pod %s/%s is not known yet", n.Namespace, n.Pod)
	}
	if id != nil && id.ServiceAccount != proxy.Account {
		return mesh.Proxy{}, denied("pod %s/%s runs as account %s, certificate is of account %s", n.Namespace, n.Pod, proxy.Account, id.ServiceAccount)
	}
	if !slices.Contains(proxy.IPs, n.IP) {
		// The kubelet reports the address of a new pod some time after the pod has it.
		return mesh.Proxy{}, status.Errorf(codes.Unavailable, "pod %s/%s is not known to have address %s yet", n.Namespace, n.Pod, n.IP)
	}
	if n.Type != proxy.Type {
		return mesh.Proxy{}, denied("node claims to be a %s, pod %s/%s is a %s", n.Type, n.Namespace, n.Pod, proxy.Type)
	}
	return *proxy, nil
}

func denied(format string, args ...any) error {
	return status.Error(codes.PermissionDenied, fmt.Sprintf(format, args...))
}
