package mesh

// Resolution is who chooses the endpoint of a connection.
type Resolution string

// The resolutions of services.
const (
	ByProxy  Resolution = ""       // clients connect to an address of the service, and the proxy balances over its endpoints
	ByClient Resolution = "client" // clients connect to an endpoint that DNS returned: a headless Service

	// Those of ServiceEntries, beside ByProxy.
	Unresolved   Resolution = "none"         // connections go to the address that clients connect to
	ByDNS        Resolution = "dns"          // the proxy looks up the names of the endpoints, and balances over all addresses
	ByFirstOfDNS Resolution = "first of dns" // the proxy looks up the name of the endpoint, and takes the first address
)

// KubernetesNames are the names of a Kubernetes Service, from which its clients make host names. Those of its own namespace may omit
// the namespace.
type KubernetesNames struct {
	Name    Name
	Aliases []Name // of Services of type ExternalName, which lead to it
}

// HostOf is the full name of a Kubernetes Service.
func HostOf(namespace, name string) string { return name + "." + namespace + ".svc." + Domain }

// Names lists the host names by which a client in a namespace may call the service: its own ones, which no other object can have, and
// others, which an older object may have: those of aliases and, as patterns, of the pods of a headless Service. Only the names of a
// Kubernetes Service are its own: anybody may write any host elsewhere.
func (s *Service) Names(caller string) (own, others []string) {
	if s.Kubernetes == nil {
		return nil, []string{s.Host}
	}
	own = s.Kubernetes.Name.hosts(caller)
	for _, alias := range s.Kubernetes.Aliases {
		others = append(others, alias.hosts(caller)...)
	}
	if s.Resolution == ByClient {
		for _, names := range [][]string{own, others} {
			for _, name := range names {
				others = append(others, "*."+name)
			}
		}
	}
	return own, others
}

// HasShortName tells whether clients in a namespace have names for the service that others do not have.
func (s *Service) HasShortName(caller string) bool {
	if s.Kubernetes == nil {
		return false
	}
	for _, alias := range s.Kubernetes.Aliases {
		if alias.Namespace == caller {
			return true
		}
	}
	return s.Kubernetes.Name.Namespace == caller
}

func (n Name) hosts(caller string) []string {
	qualified := n.Name + "." + n.Namespace
	names := []string{HostOf(n.Namespace, n.Name), qualified, qualified + ".svc"}
	if caller == n.Namespace {
		names = append(names, n.Name)
	}
	return names
}

// finish computes what follows from the other fields.
func (s *Service) finish() {
	h := NewHash().Add(string(s.Object), s.Namespace, s.Name, s.Host, string(s.Resolution)).List(s.Addresses).Uint(uint64(s.Created.Unix()))
	for _, r := range s.Ranges {
		h.Add(r.String())
	}
	h.Uint(uint64(len(s.Ranges))).List(s.ExportTo).Bool(s.Affinity).Bool(s.Kubernetes != nil)
	if s.Kubernetes != nil {
		h.Uint(uint64(len(s.Kubernetes.Aliases)))
		for _, a := range s.Kubernetes.Aliases {
			h.Add(a.Namespace, a.Name)
		}
	}
	for _, p := range s.Ports {
		p.finish()
		h.Add(p.Name, string(p.Protocol)).Uint(uint64(p.Number)).List(p.Accounts).Bool(p.AllMTLS).Bool(p.AnyMTLS)
	}
	s.Key = h.Key()
	h = NewHash().Add(s.Key)
	for _, p := range s.Ports {
		h.Add(p.Key)
	}
	s.sum = h.Key()
}

func (p *Port) finish() {
	p.AllMTLS = len(p.Endpoints) > 0
	h := NewHash()
	for _, e := range p.Endpoints {
		p.AllMTLS = p.AllMTLS && e.MTLS
		p.AnyMTLS = p.AnyMTLS || e.MTLS
		h.Add(e.Address, e.Account, e.Workload).Uint(uint64(e.Port)).Uint(uint64(e.Weight)).Bool(e.PodAddress).Bool(e.MTLS).Map(e.Labels)
	}
	p.Key = h.Key()
}

// Age orders services, the oldest first.
func (s *Service) Age() string { return ageOf(s.Created, s.Object) + " " + s.Host }

// Sum is the hash of the service with its endpoints.
func (s *Service) Sum() string { return s.sum }

// putService replaces a service; nil: there is none any more. One that is as it was stays the same.
func (s *Snapshot) putService(host string, now *Service) {
	before := s.Services.Get(host)
	switch {
	case now == nil:
		s.Services = s.Services.Without(host)
	case before == nil || before.Sum() != now.Sum():
		s.Services = s.Services.With(host, now)
	}
	if before == nil || now == nil || before.Key != now.Key {
		s.index.putPorts(before, false)
		s.index.putPorts(now, true)
	}
}
