package envoy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/mesh-operator/mesh-operator/internal/golden"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// TestGatewayReservesHosts has an owner who keeps his hosts for his namespace, and a tenant who writes Gateways of his own
// for the same gateway and port to get at them.
func TestGatewayReservesHosts(t *testing.T) {
	for name, c := range map[string]struct {
		owner, tenant string // hosts of the Gateways' servers
		vs            string // host of the tenant's VirtualService
		want          string
		problem       string
	}{
		"kept":          {"bank/shop.example.com", "shop.example.com", "shop.example.com", "shop.example.com=bank", "Gateway/tenant/hostile"},
		"by a wildcard": {"bank/shop.example.com", "*", "shop.example.com", "shop.example.com=bank", "VirtualService/tenant/hostile"},
		"wildcard kept": {"./*.example.com", "shop.example.com", "shop.example.com", "*.example.com= shop.example.com=bank", "Gateway/tenant/hostile"},
		"another host":  {"bank/shop.example.com", "*", "other.example.com", "other.example.com=tenant shop.example.com=bank", ""},
		"also invited":  {"bank/shop.example.com, tenant/shop.example.com", "shop.example.com", "shop.example.com", "shop.example.com=tenant,bank", ""},
		"for everybody": {"shop.example.com", "shop.example.com", "shop.example.com", "shop.example.com=tenant,bank", ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := victims + gatewayOf("bank", "2026-01-01", c.owner, "") + gatewayOf("tenant", "2026-02-01", c.tenant, "") +
				routesOf("bank", "shop.example.com", "/") + routesOf("tenant", c.vs, "/login")
			hosts, problems := hostsOf(t, text)
			var got []string
			for _, domain := range slices.Sorted(maps.Keys(hosts)) {
				var to []string
				for _, r := range hosts[domain].Routes {
					namespace := strings.Split(r.GetRoute().GetCluster(), ".")[1]
					to = append(to, namespace)
				}
				got = append(got, domain+"="+strings.Join(to, ","))
			}
			if got := strings.Join(got, " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			told := ""
			for _, p := range problems {
				if strings.Contains(p.Reason, "is kept for other namespaces by the older Gateway/bank/hostile") {
					told += string(p.Object)
				}
			}
			if told != c.problem {
				t.Errorf("problems %v, want one of %q", problems, c.problem)
			}
		})
	}
}

// TestReservedHostWithoutRoutes: a host that a Gateway keeps for its namespace, and that no VirtualService is for, is not
// answered by a wildcard of another namespace.
func TestReservedHostWithoutRoutes(t *testing.T) {
	for name, owner := range map[string]string{"exact": "bank/shop.example.com", "own namespace": "./shop.example.com", "wildcard": "bank/*.example.com"} {
		text := victims + gatewayOf("bank", "2026-01-01", owner, "") + gatewayOf("tenant", "2026-02-01", "*", "") + routesOf("tenant", `"*"`, "/")
		hosts, _ := hostsOf(t, text)
		if kept := hosts[mesh.HostPart(owner)]; kept == nil || len(kept.Routes) > 0 {
			t.Errorf("%s: the virtual host of the reserved host is %v, want one without routes", name, kept)
		}
	}
	hosts, _ := hostsOf(t, victims+gatewayOf("bank", "2026-01-01", "*/shop.example.com, bank/shop.example.com", ""))
	if hosts["shop.example.com"] != nil {
		t.Error("a host that is for everybody is kept")
	}
}

// TestHTTPSRedirectOfForeignHost is about a Gateway that asks for HTTPS where another one serves in the clear.
func TestHTTPSRedirectOfForeignHost(t *testing.T) {
	text := victims + gatewayOf("bank", "2026-01-01", "shop.example.com", "") + routesOf("bank", "shop.example.com", "/") +
		gatewayOf("tenant", "2026-02-01", "shop.example.com, own.example.com", "true") + routesOf("tenant", "own.example.com", "/")
	hosts, problems := hostsOf(t, text)
	if hosts["shop.example.com"].RequireTls != routev3.VirtualHost_NONE {
		t.Error("a younger Gateway of another namespace redirects the host")
	}
	if hosts["own.example.com"].RequireTls != routev3.VirtualHost_ALL {
		t.Error("the tenant's own host is not redirected")
	}
	if told := fmt.Sprint(problems); !strings.Contains(told, "belongs to the older Gateway/bank/hostile") {
		t.Errorf("problems %v do not say why", problems)
	}
}

func gatewayOf(namespace, created, hosts, redirect string) string {
	tls := ""
	if redirect != "" {
		tls = ", tls: {httpsRedirect: true}"
	}
	return fmt.Sprintf("apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {namespace: %s, name: hostile, creationTimestamp: %sT00:00:00Z}\n"+
		"spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [%s]%s}]}\n---\n",
		namespace, created, quoted(hosts), tls)
}

func quoted(hosts string) string { return `"` + strings.ReplaceAll(hosts, ", ", `", "`) + `"` }

func routesOf(namespace, host, prefix string) string {
	return fmt.Sprintf("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {namespace: %s, name: hostile}\n"+
		"spec: {hosts: [%s], gateways: [hostile], http: [{match: [{uri: {prefix: %s}}], route: [{destination: {host: %[1]s, port: {number: 80}}}]}]}\n---\n",
		namespace, host, prefix)
}

// hostsOf returns the virtual hosts of the shared gateway's port, by domain.
func hostsOf(t *testing.T, text string) (map[string]*routev3.VirtualHost, []mesh.Problem) {
	t.Helper()
	set, problems := translate(t, golden.Case{Files: map[string][]byte{"input.yaml": []byte(text), "proxy": []byte("istio-system/router")}})
	r := set.Of(resource.Route).Get("http.80")
	if r == nil {
		t.Fatalf("no routes; problems: %v", problems)
	}
	hosts := map[string]*routev3.VirtualHost{}
	for _, h := range decode(t, r, &routev3.RouteConfiguration{}).VirtualHosts {
		hosts[h.Domains[0]] = h
	}
	return hosts, problems
}
