package envoy

import (
	"slices"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// virtualHost is one host of a route configuration, encoded once for all configurations that have it: an encoded message is
// its fields one after another, so a configuration is made by copying. It is immutable.
type virtualHost struct {
	port    uint32
	object  resource.Object // the object that the host belongs to
	sources []resource.Object
	created time.Time
	name    string
	domains []string
	own     int    // how many of the domains are names of the service itself, which no other object can have
	frame   []byte // the field of the route configuration
}

// order is the host's place in route configurations: that of its object.
func (h *virtualHost) order() string { return string(h.object) + " " + h.name }

// emitHost adds a host unless Envoy would reject it.
func (d *draft) emitHost(h *virtualHost, message *routev3.VirtualHost) {
	if err := validate(message); err != nil {
		d.fail("RDS " + message.Name + " would be refused: " + err.Error())
		return
	}
	h.name, h.domains, h.frame = message.Name, message.Domains, frameOf(message)
	d.hosts = append(d.hosts, h)
}

// without is h less some of its domains.
func (h *virtualHost) without(lost []string) *virtualHost {
	message, out := &routev3.VirtualHost{}, *h
	_, _, n := protowire.ConsumeTag(h.frame)
	body, _ := protowire.ConsumeBytes(h.frame[n:])
	if err := proto.Unmarshal(body, message); err != nil {
		panic(failure{"a host cannot be decoded: " + err.Error()}) // frameOf has encoded it
	}
	out.domains = slices.DeleteFunc(slices.Clone(h.domains), func(d string) bool { return slices.Contains(lost, d) })
	message.Domains = out.domains
	out.frame = frameOf(message)
	return &out
}

const hostsField = 2 // of envoy.config.route.v3.RouteConfiguration

func frameOf(h *routev3.VirtualHost) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, hostsField, protowire.BytesType), encode(h))
}

func encode(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil { // not UTF-8, which protojson has refused
		panic(failure{"a message cannot be encoded: " + err.Error()})
	}
	return b
}

// encodeRoutes is the encoding of a route configuration with these hosts, the same as if it had been encoded at once: what
// comes before the hosts, the hosts, what comes after them.
func encodeRoutes(name string, frames ...[]byte) []byte {
	head := encode(&routev3.RouteConfiguration{Name: name})
	return slices.Concat(head, slices.Concat(frames...), encode(routeConfiguration("", nil)))
}

// claim lists the hosts of a port. Envoy rejects a configuration with a duplicate domain, so the older of two services gets
// an address or alias that both claim, and services precede other hosts. A service always gets its own names.
func (c *collector) claim(port string, services table.Table[*virtualHost]) []*virtualHost {
	n := portNumber(port)
	for v := range c.scope.Outbound.Foreign.Values() {
		if v.On.Has(n) {
			c.foreignHosts(v, n)
		}
	}
	all := slices.Collect(services.Values())
	own, owners := c.ownNames(all), map[string]*virtualHost{}
	for _, h := range all {
		for _, a := range h.domains[h.own:] {
			if !own[a] && (owners[a] == nil || h.created.Before(owners[a].created)) {
				owners[a] = h
			}
		}
	}
	hosts := make([]*virtualHost, 0, len(all)+len(c.hosts))
	for _, h := range all {
		lost := slices.DeleteFunc(slices.Clone(h.domains[h.own:]), func(a string) bool { return owners[a] == h })
		switch {
		case len(lost) == len(h.domains):
			c.claimed(h)
		case len(lost) > 0:
			hosts = append(hosts, h.without(lost))
		default:
			hosts = append(hosts, h)
		}
	}
	for _, h := range c.hosts {
		if domain := h.domains[0]; owners[domain] != nil || own[domain] {
			c.claimed(h)
		} else {
			owners[domain] = h
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// claimed reports a host that has no domain left.
func (c *collector) claimed(h *virtualHost) {
	c.problems = append(c.problems, mesh.Problem{Object: h.object, Reason: "every domain of " + h.name + " belongs to an older object"})
}

// ownNames returns those domains that a service has as its own names and that another host has too.
func (c *collector) ownNames(services []*virtualHost) map[string]bool {
	wanted := map[string]bool{}
	for _, h := range c.hosts {
		wanted[h.domains[0]] = true
	}
	for _, h := range services {
		if h.own == 0 {
			wanted[h.domains[0]] = true
		}
	}
	found := map[string]bool{}
	for _, h := range services {
		for _, name := range h.domains[:h.own] {
			if wanted[name] {
				found[name] = true
			}
		}
	}
	return found
}
