package server

import (
	"net/http"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// registryService is one line of /debug/registryz, in the fields of Istio's that Kiali reads:
// https://github.com/kiali/kiali/blob/v1.89.0/kubernetes/types.go
type registryService struct {
	Attributes registryAttributes `json:"Attributes"`
	Hostname   string             `json:"hostname"`
	Ports      []registryPort     `json:"ports"`
}

type registryAttributes struct {
	ServiceRegistry string // Kubernetes, or External for a service that is no Service of Kubernetes
	Name, Namespace string
}

type registryPort struct {
	Name     string `json:"name,omitempty"`
	Port     uint32 `json:"port"`
	Protocol string `json:"protocol,omitempty"`
}

// ServeRegistry returns the handler of /debug/registryz: the services that the snapshot knows.
func ServeRegistry(snapshot func() *mesh.Snapshot) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		out := []registryService{}
		if s := snapshot(); s != nil {
			for _, service := range s.Services.All() {
				out = append(out, registryServiceOf(service))
			}
		}
		writeJSON(w, out)
	}
}

func registryServiceOf(s *mesh.Service) registryService {
	r := registryService{Hostname: s.Host, Attributes: registryAttributes{ServiceRegistry: "External", Name: s.Name, Namespace: s.Namespace}, Ports: []registryPort{}}
	if s.Kubernetes != nil {
		r.Attributes.ServiceRegistry = "Kubernetes"
	}
	for _, p := range s.Ports {
		r.Ports = append(r.Ports, registryPort{Name: p.Name, Port: p.Number, Protocol: string(p.Protocol)})
	}
	return r
}
