// Package ingress lets the host into a cluster: it gives Services of type LoadBalancer an address, as a cloud would, and
// opens their node ports on 127.0.0.1.
package ingress

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

// Options is what Run needs.
type Options struct {
	Client    kubernetes.Interface
	Pool      string // load balancers' addresses
	Forwarder *Forwarder
	Log       *slog.Logger
	Changed   func([]state.URL) // called with all URLs whenever one changes
}

// Run starts watching Services and returns; it ends with the context.
func Run(ctx context.Context, o Options) error {
	pool, err := netip.ParsePrefix(o.Pool)
	if err != nil {
		return fmt.Errorf("parse address pool: %w", err)
	}
	factory := informers.NewSharedInformerFactory(o.Client, 0)
	services := factory.Core().V1().Services()
	wake := make(chan struct{}, 1)
	signal := func(any) {
		select {
		case wake <- struct{}{}:
		default: // a look is due already
		}
	}
	if _, err := services.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: signal, UpdateFunc: func(_, o any) { signal(o) }, DeleteFunc: signal,
	}); err != nil {
		return fmt.Errorf("watch services: %w", err)
	}
	factory.Start(ctx.Done())
	loop := &loop{options: o, pool: pool, open: map[string]opened{}}
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-wake:
			}
			all, err := services.Lister().List(labels.Everything())
			if err != nil {
				o.Log.Error("services not listed", "error", err)
				continue
			}
			loop.look(ctx, all)
		}
	}()
	return nil
}

// loop is the only owner of the open ports.
type loop struct {
	options Options
	pool    netip.Prefix
	open    map[string]opened // by name
	shown   []state.URL
}

type opened struct {
	door     Door
	listener net.Listener
}

// look compares what is with what should be.
func (l *loop) look(ctx context.Context, services []*corev1.Service) {
	for service, address := range Assign(l.pool, services) {
		l.setAddress(ctx, service, address)
	}
	doors := Doors(services)
	for name, o := range l.open {
		if doors[name] != o.door {
			o.listener.Close()
			delete(l.open, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(doors)) {
		if _, found := l.open[name]; !found {
			l.openDoor(name, doors[name])
		}
	}
	if urls := l.urls(); !slices.Equal(urls, l.shown) {
		l.shown = urls
		l.options.Changed(urls)
	}
}

func (l *loop) openDoor(name string, door Door) {
	target := net.JoinHostPort(l.options.Forwarder.Node, strconv.Itoa(door.NodePort))
	listener, err := l.options.Forwarder.Open(door.NodePort, target)
	if err != nil {
		l.options.Log.Error("port not forwarded", "service", name, "error", err)
		return
	}
	l.options.Log.Info("port forwarded", "service", name, "address", listener.Addr().String(), "target", target)
	l.open[name] = opened{door, listener}
}

func (l *loop) urls() []state.URL {
	var urls []state.URL
	for _, name := range slices.Sorted(maps.Keys(l.open)) {
		o := l.open[name]
		urls = append(urls, state.URL{Name: name, URL: o.door.Scheme + "://" + o.listener.Addr().String()})
	}
	return urls
}

func (l *loop) setAddress(ctx context.Context, service *corev1.Service, address netip.Addr) {
	changed := service.DeepCopy()
	changed.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address.String()}}
	_, err := l.options.Client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	if err != nil {
		// The next event of this Service brings it here again.
		l.options.Log.Warn("load balancer address not set", "service", service.Namespace+"/"+service.Name, "error", err)
		return
	}
	l.options.Log.Info("load balancer address set", "service", service.Namespace+"/"+service.Name, "address", address.String())
}

// Assign chooses addresses for the load balancers that have none, in the order of their creation.
func Assign(pool netip.Prefix, services []*corev1.Service) map[*corev1.Service]netip.Addr {
	taken, waiting := map[string]bool{}, []*corev1.Service{}
	for _, s := range services {
		for _, ingress := range s.Status.LoadBalancer.Ingress {
			taken[ingress.IP] = true
		}
		if s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.LoadBalancerClass == nil &&
			len(s.Status.LoadBalancer.Ingress) == 0 && s.DeletionTimestamp == nil {
			waiting = append(waiting, s)
		}
	}
	slices.SortFunc(waiting, func(a, b *corev1.Service) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	assigned := map[*corev1.Service]netip.Addr{}
	address := pool.Masked().Addr().Next()
	for _, s := range waiting {
		for taken[address.String()] {
			address = address.Next()
		}
		if !pool.Contains(address) {
			return assigned
		}
		assigned[s], taken[address.String()] = address, true
	}
	return assigned
}

// Door is a port of 127.0.0.1 that should lead to a node port.
type Door struct {
	NodePort int
	Scheme   string
}

// Doors lists the TCP node ports of all Services by NAMESPACE/SERVICE/PORT.
func Doors(services []*corev1.Service) map[string]Door {
	doors := map[string]Door{}
	for _, s := range services {
		for _, p := range s.Spec.Ports {
			if p.NodePort == 0 || p.Protocol == corev1.ProtocolUDP || p.Protocol == corev1.ProtocolSCTP {
				continue
			}
			port := p.Name
			if port == "" {
				port = strconv.Itoa(int(p.Port))
			}
			doors[s.Namespace+"/"+s.Name+"/"+port] = Door{NodePort: int(p.NodePort), Scheme: scheme(p)}
		}
	}
	return doors
}

// scheme guesses from the port's declared protocol, then from its name's first word, as a mesh does.
func scheme(p corev1.ServicePort) string {
	protocol, _, _ := strings.Cut(p.Name, "-")
	if p.AppProtocol != nil {
		protocol = *p.AppProtocol
	}
	switch strings.ToLower(protocol) {
	case "http", "http2", "status", "kubernetes.io/h2c":
		return "http"
	case "https":
		return "https"
	}
	return "tcp"
}
