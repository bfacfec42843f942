package telemetry

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var own = Own{Peer{"web-v1", "shop", "web", "v1"}, "spiffe://cluster.local/ns/shop/sa/web"}

func rewrite(t *testing.T, page string) string {
	t.Helper()
	var out strings.Builder
	if err := own.Rewrite(&out, strings.NewReader(page)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

const ownAsSource = `source_workload="web-v1",source_workload_namespace="shop",source_principal="unknown",source_app="web",source_version="v1",` +
	`source_canonical_service="web",source_canonical_revision="v1",source_cluster="Kubernetes",`

const unknownDestination = `destination_workload="unknown",destination_workload_namespace="unknown",destination_principal="unknown",` +
	`destination_app="unknown",destination_version="unknown",destination_canonical_service="unknown",destination_canonical_revision="unknown",` +
	`destination_cluster="unknown",`

// TestRewriteAddsUp: statuses that gRPC does not define are one series, because a page with a series twice is refused.
func TestRewriteAddsUp(t *testing.T) {
	got := rewrite(t, `# TYPE envoy_server_live gauge
envoy_server_live{} 1
# TYPE envoy_istio_requests_total counter
envoy_istio_requests_total{reporter="source",service="a.b.svc;a;b",protocol="grpc",response="200;-;77"} 3
envoy_istio_requests_total{reporter="source",service="a.b.svc;a;b",protocol="grpc",response="200;-;78"} 4
# TYPE envoy_istio_request_bytes histogram
envoy_istio_request_bytes_bucket{reporter="source",protocol="grpc",response="200;-;77",le="0.5"} 1
envoy_istio_request_bytes_bucket{reporter="source",protocol="grpc",response="200;-;77",le="+Inf"} 2
envoy_istio_request_bytes_sum{reporter="source",protocol="grpc",response="200;-;77"} 10.5
envoy_istio_request_bytes_count{reporter="source",protocol="grpc",response="200;-;77"} 2
envoy_istio_request_bytes_bucket{reporter="source",protocol="grpc",response="200;-;78",le="0.5"} 1
envoy_istio_request_bytes_bucket{reporter="source",protocol="grpc",response="200;-;78",le="+Inf"} 1
envoy_istio_request_bytes_sum{reporter="source",protocol="grpc",response="200;-;78"} 1
envoy_istio_request_bytes_count{reporter="source",protocol="grpc",response="200;-;78"} 1
# TYPE envoy_x counter
envoy_x{} 1
`)
	tail := `request_protocol="grpc",response_code="200",grpc_response_status="2",response_flags="-",connection_security_policy="unknown"`
	head := `{reporter="source",` + ownAsSource + unknownDestination
	service := `destination_service="a.b.svc",destination_service_name="a",destination_service_namespace="b",`
	none := `destination_service="unknown",destination_service_name="unknown",destination_service_namespace="unknown",`
	want := `# TYPE envoy_server_live gauge
envoy_server_live{} 1
# TYPE istio_requests_total counter
istio_requests_total` + head + service + tail + `} 7
# TYPE istio_request_bytes histogram
istio_request_bytes_bucket` + head + none + tail + `,le="0.5"} 2
istio_request_bytes_bucket` + head + none + tail + `,le="+Inf"} 3
istio_request_bytes_sum` + head + none + tail + `} 11.5
istio_request_bytes_count` + head + none + tail + `} 3
# TYPE envoy_x counter
envoy_x{} 1
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestSourceIsBelieved: only a subject of the mesh's CA names a workload; the URI name decides about the namespace.
func TestSourceIsBelieved(t *testing.T) {
	const uri = "spiffe://cluster.local/ns/shop/sa/web"
	namespace := Peer{Namespace: "shop"}
	for name, c := range map[string]struct {
		subject, uris string
		peer          Peer
		principal     string
	}{
		"ours":                    {own.Subject().String(), uri, own.Peer, uri},
		"long names":              {Peer{strings.Repeat("w", 253), "shop", "s", "v"}.Subject().String(), uri, Peer{strings.Repeat("w", 253), "shop", "s", "v"}.Fit(), uri},
		"no certificate":          {"", "", Peer{}, ""},
		"no subject":              {"", uri, namespace, uri},
		"of another namespace":    {"CN=admin,OU=kube-system,O=x,L=y", uri, namespace, uri},
		"of another signer":       {"CN=web,O=Example Corp", uri, namespace, uri},
		"a fact twice":            {"CN=web,CN=admin,OU=shop,O=x,L=y", uri, namespace, uri},
		"a fact in another":       {`CN=web\,OU=shop,O=x,L=y`, uri, namespace, uri},
		"another attribute":       {"CN=web,OU=shop,O=x,L=y,ST=z", uri, namespace, uri},
		"no mesh identity":        {own.Subject().String(), "https://example.com", Peer{}, "https://example.com"},
		"two identities":          {own.Subject().String(), uri + "," + uri, Peer{}, uri + "," + uri},
		"quotes and a line break": {"CN=a\"b\n", uri, namespace, uri},
	} {
		t.Run(name, func(t *testing.T) {
			peer, principal := FromCertificate(c.subject, c.uris)
			if peer != c.peer || principal != c.principal {
				t.Errorf("%+v %q, want %+v %q", peer, principal, c.peer, c.principal)
			}
		})
	}
}

// FuzzPeer: whatever the facts are, both packed forms give them back as they are shown.
func FuzzPeer(f *testing.F) {
	f.Add("reviews-v1", "default", "reviews", "v1")
	f.Add("a;b", "c,OU=d", `e\`, "")
	f.Add(strings.Repeat("n", 253), "x", "y", "z")
	f.Fuzz(func(t *testing.T, workload, namespace, service, revision string) {
		p := Peer{workload, namespace, service, revision}
		if got, ok := Unpack(p.Pack()); !ok || got != p.Fit() {
			t.Errorf("%+v unpacks as %+v, %v", p, got, ok)
		}
		complete := workload != "" && namespace != "" && service != "" && revision != ""
		if got, ok := ParseSubject(p.Subject().String()); ok != complete || ok && got != p.Fit() {
			t.Errorf("%+v is read from its subject as %+v, %v", p, got, ok)
		}
	})
}

// FuzzRewrite: whatever stands in Envoy's page, no line of the mesh's metrics has other labels than the contract's, and no
// series is there twice.
func FuzzRewrite(f *testing.F) {
	f.Add("a;b", `CN=x,OU="y`, "200;-")
	f.Add(`\`, "\n", `",le="`)
	f.Fuzz(func(t *testing.T, service, subject, response string) {
		var page strings.Builder
		page.WriteString("# TYPE envoy_istio_requests_total counter\n")
		for _, protocol := range []string{"http", "grpc", "tcp"} {
			page.WriteString(`envoy_istio_requests_total{reporter="destination",source="` + escape.Replace(subject) + `",principal="",service="` +
				escape.Replace(service) + `",protocol="` + protocol + `",response="` + escape.Replace(response) + `"} 1` + "\n")
		}
		seen := map[string]bool{}
		for line := range strings.Lines(rewrite(t, page.String())) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			labels, ok := strings.CutPrefix(line, "istio_requests_total{")
			if parsed := parseTags(strings.TrimSuffix(labels, "} 1\n")); !ok || seen[line] || len(parsed) < 22 || parsed["source_workload"] != unknown {
				t.Errorf("line %q", line)
			}
			seen[line] = true
		}
	})
}
