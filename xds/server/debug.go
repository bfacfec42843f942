package server

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/version"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// proxyStatus is one line of /debug/syncz. The fields up to EndpointAcked are those that Istio's own tools read.
type proxyStatus struct {
	Cluster       string `json:"cluster_id"`
	Proxy         string `json:"proxy"`
	ProxyType     string `json:"proxy_type"`
	IstioVersion  string `json:"istio_version"`
	ClusterSent   string `json:"cluster_sent,omitempty"`
	ClusterAcked  string `json:"cluster_acked,omitempty"`
	ListenerSent  string `json:"listener_sent,omitempty"`
	ListenerAcked string `json:"listener_acked,omitempty"`
	RouteSent     string `json:"route_sent,omitempty"`
	RouteAcked    string `json:"route_acked,omitempty"`
	EndpointSent  string `json:"endpoint_sent,omitempty"`
	EndpointAcked string `json:"endpoint_acked,omitempty"`

	Namespace string            `json:"namespace"`
	Error     string            `json:"internal_error,omitempty"` // why it does not have the newest configuration
	Since     time.Time         `json:"connected_since"`
	Types     map[string]Status `json:"types"`
}

// ServeSync answers with where each connected proxy stands.
func (s *Server) ServeSync(w http.ResponseWriter, _ *http.Request) {
	out := []proxyStatus{}
	for _, c := range s.connected() {
		p := syncOf(c)
		p.Error = s.updateError(c)
		out = append(out, p)
	}
	writeJSON(w, out)
}

// connected are the connections, by namespace and name of their pods.
func (s *Server) connected() []*connection {
	s.mu.Lock()
	all := slices.Collect(maps.Keys(s.connections))
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b *connection) int {
		return cmp.Or(cmp.Compare(a.proxy.Namespace, b.proxy.Namespace), cmp.Compare(a.proxy.Name, b.proxy.Name), a.since.Compare(b.since))
	})
	return all
}

func syncOf(c *connection) proxyStatus {
	status := c.status()
	p := proxyStatus{
		Cluster: "Kubernetes", Proxy: nameOf(c), ProxyType: string(c.proxy.Type), IstioVersion: version.Version,
		Namespace: c.proxy.Namespace, Since: c.since, Types: map[string]Status{},
	}
	for t, s := range status {
		p.Types[t.Short()] = s
	}
	p.ClusterSent, p.ClusterAcked = status[resource.Cluster].Sent, status[resource.Cluster].Acked
	p.ListenerSent, p.ListenerAcked = status[resource.Listener].Sent, status[resource.Listener].Acked
	p.RouteSent, p.RouteAcked = status[resource.Route].Sent, status[resource.Route].Acked
	p.EndpointSent, p.EndpointAcked = status[resource.Endpoint].Sent, status[resource.Endpoint].Acked
	return p
}

func nameOf(c *connection) string { return c.proxy.Name + "." + c.proxy.Namespace }

// resourceStatus is one resource of /debug/config: what it is called and what it was made from, not what is in it.
type resourceStatus struct {
	Name    string            `json:"name"`
	Version string            `json:"version,omitempty"` // not of a secret: a hash invites guessing
	Objects []resource.Object `json:"objects,omitempty"`
}

// ServeConfig answers with the resources that the proxy of ?proxy=pod.namespace should have.
func (s *Server) ServeConfig(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("proxy")
	for _, c := range s.connected() {
		if nameOf(c) == name {
			writeJSON(w, configOf(c.update.resources()))
			return
		}
	}
	http.Error(w, "no connected proxy of that name; use ?proxy=<pod>.<namespace> with a proxy of /debug/syncz", http.StatusNotFound)
}

func configOf(set *resource.Set) map[string][]resourceStatus {
	out := map[string][]resourceStatus{}
	for t := range served {
		list := []resourceStatus{}
		for name, r := range set.Of(t).All() {
			entry := resourceStatus{Name: name, Version: r.Version, Objects: r.Sources}
			if t == resource.Secret {
				entry.Version = ""
			}
			list = append(list, entry)
		}
		out[t.Short()] = list
	}
	return out
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(value) // the client is gone
}
