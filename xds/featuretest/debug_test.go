package featuretest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

func get(handler http.HandlerFunc, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	handler(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestSyncDebugEndpoint(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", "10.244.0.1"))
	c := p.connect(sidecar("bookinfo", "reviews", "10.244.0.1"))
	c.subscribe(resource.Cluster)
	c.nack(c.next(resource.Cluster), "no outbound|9080||reviews.bookinfo.svc.cluster.local, please")
	c.accept(resource.Cluster) // the others again; the NACK has been taken
	c.subscribe(resource.Listener)
	c.next(resource.Listener) // no ACK

	var got []struct {
		Proxy        string
		ClusterAcked string `json:"cluster_acked"`
		Types        map[string]struct{ Sent, Acked, Rejected string }
	}
	w := get(p.server.ServeSync, "/debug/syncz")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got) != 1 {
		t.Fatalf("answer %s, error %v", w.Body, err)
	}
	cds, lds := got[0].Types["CDS"], got[0].Types["LDS"]
	if got[0].Proxy != "reviews-1.bookinfo" || cds.Sent != "2" || cds.Acked != "2" || got[0].ClusterAcked != "2" {
		t.Errorf("status is %+v", got[0])
	}
	if lds.Sent != "3" || lds.Acked != "" {
		t.Errorf("LDS is %+v, want one response in flight", lds)
	}
}

func TestConfigDebugEndpointHidesSecrets(t *testing.T) {
	p := startPilot(t, router("istio-system", "ingress", "10.244.0.1"), gatewayFor("istio-system", "ingress", "shop-credential"))
	p.apply(p.ca.secret(t, "istio-system", "shop-credential"))
	c := p.connect(routerNode("istio-system", "ingress", "10.244.0.1"))
	c.subscribe(resource.Listener)
	c.accept(resource.Listener)
	body := get(p.server.ServeConfig, "/debug/config?proxy=ingress-1.istio-system").Body.String()
	for _, words := range []string{"kubernetes://shop-credential", "Gateway/istio-system/shop-credential", `"LDS"`} {
		if !strings.Contains(body, words) {
			t.Errorf("the answer does not say %q:\n%s", words, body)
		}
	}
	if strings.Contains(body, "PRIVATE") || strings.Contains(body, "BEGIN") {
		t.Errorf("the answer has more than names:\n%s", body)
	}
	if got := get(p.server.ServeConfig, "/debug/config?proxy=nobody").Code; got != http.StatusNotFound {
		t.Errorf("an unknown proxy is answered with %d, want 404", got)
	}
}
