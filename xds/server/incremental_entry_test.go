package server

import (
	"fmt"

	networking "istio.io/api/networking/v1alpha3"
)

// someEntry is for a host that rules or other objects may have too, or is a Service's; of any resolution, with addresses, blocks of them or
// none; it may be invalid.
func someEntry(how, which byte) *networking.ServiceEntry {
	hosts := []string{"out.com", "*.com", "x.a.svc.cluster.local", "x.a", "db.external"}
	e := &networking.ServiceEntry{
		Hosts:      []string{pick(hosts, how/2)},
		Resolution: networking.ServiceEntry_Resolution(how / 4 % 4),
		Ports:      []*networking.ServicePort{{Number: pick([]uint32{80, 90, 443}, how), Name: "p", Protocol: pick([]string{"HTTP", "TLS", "TCP", "HTTP2"}, how/16)}},
	}
	switch how / 32 % 4 {
	case 0:
		e.Addresses = []string{fmt.Sprintf("10.0.0.%d", how%3)}
	case 1:
		e.Addresses = []string{pick([]string{"10.9.0.0/16", "fd00:9::/64"}, how)}
	case 2:
		e.Hosts = append(e.Hosts, pick(hosts, how/2+1))
	}
	if e.Resolution == networking.ServiceEntry_STATIC || e.Resolution == networking.ServiceEntry_DNS && how%2 == 0 {
		e.Endpoints = []*networking.WorkloadEntry{{Address: fmt.Sprintf("192.0.2.%d", which%7), Labels: map[string]string{"version": pick([]string{"v0", "v1"}, how)}}}
	}
	if which%5 == 0 {
		e.ExportTo = []string{pick([]string{".", "b"}, how)}
	}
	if which%4 == 0 && len(e.Endpoints) > 0 {
		e.Location, e.Endpoints[0].Labels["security.istio.io/tlsMode"] = networking.ServiceEntry_MESH_INTERNAL, "istio"
	}
	return e
}
