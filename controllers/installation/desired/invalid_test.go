package desired

import (
	"strings"
	"testing"
)

// TestInvalidComponents: a value that the API server would refuse in another object, or drop, is named with its own field.
func TestInvalidComponents(t *testing.T) {
	for spec, want := range map[string]string{
		`components: {pilot: {resources: {limits: {memroy: 1Gi}}}}`:                                                    "spec.components.pilot.resources.limits: memroy is no resource; write cpu, memory or ephemeral-storage",
		`components: {galley: {resources: {requests: {cpu: -1}}}}`:                                                     "spec.components.galley.resources.requests.cpu: -1 is negative; write a positive quantity",
		`components: {citadel: {resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}}}`:                         "spec.components.citadel.resources.requests.memory: 2Gi is more than the limit 1Gi; lower it, or raise limits.memory",
		`injection: {proxy: {resources: {requests: {cpu: 2}, limits: {cpu: 1}}}}`:                                      "spec.injection.proxy.resources.requests.cpu: 2 is more than the limit 1; lower it, or raise limits.cpu",
		`components: {pilot: {podLabels: {"a b": c}}}`:                                                                 `spec.components.pilot.podLabels: "a b" is no label key; write letters, digits, -, _ and . such as team or example.com/team`,
		`components: {pilot: {podLabels: {a: "b c"}}}`:                                                                 `spec.components.pilot.podLabels[a]: "b c" is no label value; write at most 63 letters, digits, -, _ and .`,
		`components: {pilot: {image: "my image:1"}}`:                                                                   `spec.components.pilot.image: "my image:1" is no image reference; write registry/name:tag, without spaces and without https://`,
		`gateways: [{name: g, image: "https://r.example/i:1"}]`:                                                        `spec.gateways[g].image: "https://r.example/i:1" is no image reference; write registry/name:tag, without spaces and without https://`,
		`components: {pilot: {affinity: {podAntiAffinty: {}}}}`:                                                        `spec.components.pilot.affinity: unknown field "podAntiAffinty"; see kubectl explain pod.spec.affinity`,
		`components: {pilot: {topologySpreadConstraints: [{maxSkw: 1}]}}`:                                              `spec.components.pilot.topologySpreadConstraints: unknown field "maxSkw"; see kubectl explain pod.spec.topologySpreadConstraints`,
		`gateways: [{name: g, service: {ports: [{name: http-a, port: 8080}, {name: http-b, port: 8080}]}}]`:            "spec.gateways[g].service.ports: http-a and http-b both have port 8080; give one of them another number",
		`components: {pilot: {tolerations: [{kye: infra, operator: Exists}]}}`:                                         `spec.components.pilot.tolerations: unknown field "kye"; see kubectl explain pod.spec.tolerations`,
		`components: {pilot: {tolerations: {key: infra}}}`:                                                             `spec.components.pilot.tolerations: is no list; begin each entry with a dash (-); see kubectl explain pod.spec.tolerations`,
		`components: {pilot: {affinity: [{nodeAffinity: {}}]}}`:                                                        `spec.components.pilot.affinity: is no mapping; write its fields without a dash (-); see kubectl explain pod.spec.affinity`,
		`components: {pilot: {tolerations: [{key: a, operator: Exsts}]}}`:                                              `spec.components.pilot.tolerations[0].operator: "Exsts" is unknown; write Exists or Equal`,
		`components: {pilot: {tolerations: [{key: a, effect: NoSchedul}]}}`:                                            `spec.components.pilot.tolerations[0].effect: "NoSchedul" is unknown; write NoSchedule, PreferNoSchedule or NoExecute`,
		`gateways: [{name: g, tolerations: [{operator: Exists}, {value: a}]}]`:                                         `spec.gateways[g].tolerations[1].key: is missing; write the key of the taint, or operator: Exists for every taint`,
		`components: {galley: {tolerations: [{key: a, operator: Exists, value: b}]}}`:                                  `spec.components.galley.tolerations[0].value: "b" has no meaning with operator Exists; remove it, or write operator: Equal`,
		`components: {galley: {tolerations: [{key: a, tolerationSeconds: 3}]}}`:                                        `spec.components.galley.tolerations[0].tolerationSeconds: has a meaning with effect NoExecute only; remove it, or write effect: NoExecute`,
		`istio: {prefix: "https://registry.example.com/mesh"}`:                                                         `spec.istio.prefix: "https://registry.example.com/mesh" is no beginning of an image reference; write registry/folder, without spaces and without https://`,
		`istio: {prefix: "registry.example.com/mesh\n"}`:                                                               `spec.istio.prefix: "registry.example.com/mesh\n" is no beginning of an image reference; write registry/folder, without spaces and without https://`,
		`istio: {version: "1 2"}`:                                                                                      `spec.istio.version: "1 2" is no image tag; write letters, digits, -, _ and . such as "1.9.0"`,
		`images: {registry: "https://registry.example.com"}`:                                                           `spec.images.registry: "https://registry.example.com" is no beginning of an image reference; write registry/folder, without spaces and without https://`,
		`images: {registry: "my registry/mesh"}`:                                                                       `spec.images.registry: "my registry/mesh" is no beginning of an image reference; write registry/folder, without spaces and without https://`,
		`jaeger: {elasticsearch_memory: plenty}`:                                                                       `spec.jaeger.elasticsearch_memory: "plenty" is no amount of memory; write a number and a unit, such as 1Gi or 1000MB`,
		`grafana: {replicas: 2}`:                                                                                       `spec.grafana.replicas: 2, but every Grafana keeps sessions and changes of its own, so there can be one at most; write 0 or 1, or remove the field`,
		`{grafana: {enabled: true}, prometheus: {enabled: false}}`:                                                     `spec.grafana.enabled: the dashboards show what the mesh's Prometheus collects, and there is none; write spec.prometheus.enabled: true too, or remove the field`,
		`grafana: {external: {url: grafana}}`:                                                                          `spec.grafana.external.url: "grafana" is no address of a page; write https://host, with a port and a path if it has them`,
		`grafana: {anonymous: true, external: {url: "https://a/b"}}`:                                                   `spec.grafana.external: names a Grafana that somebody else runs; remove external, or enabled, credentialsSecretRef and anonymous, which are about the mesh's own`,
		`grafana: {enabled: false, external: {url: "https://a:1"}}`:                                                    "",
		`grafana: {credentialsSecretRef: {}}`:                                                                          `spec.grafana.credentialsSecretRef.name: it is empty; write the name of a Secret in istio-system`,
		`jaeger: {elasticsearch_memory: -1Gi}`:                                                                         `spec.jaeger.elasticsearch_memory: "-1Gi" is no amount of memory; write a number and a unit, such as 1Gi or 1000MB`,
		`jaeger: {elasticsearch_memory: 1000MB}`:                                                                       "",
		`jaeger: {storage: {type: Memory}}`:                                                                            "",
		`jaeger: {storage: {type: Memory}, replicas: 2}`:                                                               `spec.jaeger.replicas: 2, but with this storage every Jaeger keeps traces of its own, so there can be one at most; write 0 or 1, or remove the field`,
		`jaeger: {storage: {type: Memory}, external: {zipkinURL: "http://a:1"}}`:                                       `spec.jaeger.storage: external names a tracing system that somebody else runs; remove one of storage and external`,
		`telemetry: {tracing: {samplingPercent: 101}}`:                                                                 `spec.telemetry.tracing.samplingPercent: "101" is no percentage; write a number from 0 to 100`,
		`telemetry: {tracing: {samplingPercent: -1}}`:                                                                  `spec.telemetry.tracing.samplingPercent: "-1" is no percentage; write a number from 0 to 100`,
		`telemetry: {tracing: {samplingPercent: all}}`:                                                                 `spec.telemetry.tracing.samplingPercent: "all" is no percentage; write a number from 0 to 100`,
		`{telemetry: {tracing: {provider: OTLP}}, jaeger: {enabled: false}}`:                                           `spec.telemetry.tracing.provider: OTLP has no collector; write the address of one to spec.jaeger.external.otlpURL`,
		`{telemetry: {tracing: {provider: Zipkin}}, jaeger: {external: {otlpURL: "http://a:1"}}}`:                      `spec.telemetry.tracing.provider: Zipkin has no collector; write the address of one to spec.jaeger.external.zipkinURL`,
		`jaeger: {external: {otlpURL: "https://a:1"}}`:                                                                 `spec.jaeger.external.otlpURL: "https://a:1" is no address of a collector; write http://host:port without a path`,
		`telemetry: {accessLog: {otlpURL: "https://a:1"}}`:                                                             `spec.telemetry.accessLog.otlpURL: "https://a:1" is no address of a collector; write http://host:port without a path`,
		`telemetry: {accessLog: {otlpURL: "http://a:1"}}`:                                                              "",
		`jaeger: {external: {zipkinURL: "http://a"}}`:                                                                  `spec.jaeger.external.zipkinURL: "http://a" is no address of a collector; write http://host:port without a path`,
		`jaeger: {external: {zipkinURL: "http://a:9411/api/v2/spans"}}`:                                                `spec.jaeger.external.zipkinURL: "http://a:9411/api/v2/spans" is no address of a collector; write http://host:port without a path`,
		`{jaeger: {external: {zipkinURL: "http://[2001:db8::1]:9411"}}, telemetry: {tracing: {samplingPercent: 0.1}}}`: "",
		`jaeger: {elasticsearch_memory: 1 GB}`:                                                                         "",
		`jaeger: {elasticsearch_memory: 100Mi}`:                                                                        "spec.jaeger.elasticsearch_memory: 100Mi is less than 512Mi, which Elasticsearch needs to start; write 512Mi or more",
		`jaeger: {replicas: 2, storage: {elasticsearch: {external: {url: "http://a:9200"}}}}`:                          "",
		`jaeger: {storage: {type: Badger}}`:                                                                            "spec.jaeger.storage.volume: Badger keeps traces on a volume; write volume: {size: 10Gi}, or type: Memory",
		`jaeger: {storage: {elasticsearch: {replicas: 2}}}`:                                                            "spec.jaeger.storage.elasticsearch.replicas: 2, but this is one server, not a cluster of them; write 0 or 1, or name a cluster of yours in external",
		`jaeger: {storage: {elasticsearch: {enabled: false}}}`:                                                         "spec.jaeger.storage.elasticsearch.enabled: false leaves Jaeger without its storage; write spec.jaeger.enabled: false, another storage.type, or external",
		`jaeger: {elasticsearch_memory: 1073741824}`:                                                                   "",
		`{istio: {prefix: team, version: 1.9.0}, images: {registry: "registry.example.com:5000/mesh/"}}`:               "",
		`istio: {prefix: registry.example.com/team/my-}`:                                                               "",
		`components: {pilot: {tolerations: [{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 3}]}}`:    "",
		`components: {pilot: {affinity: {podAntiAffinity: {}}, podLabels: {a: b}, image: "r.example:5000/i:1"}}`:       "",
		`components: {pilot: {resources: {requests: {cpu: 1}, limits: {cpu: 1, example.com/device: 1}}}}`:              "",
		`prometheus: {resources: {limits: {memroy: 1Gi}}}`:                                                             "spec.prometheus.resources.limits: memroy is no resource; write cpu, memory or ephemeral-storage",
		`prometheus: {image: "my image:1"}`:                                                                            `spec.prometheus.image: "my image:1" is no image reference; write registry/name:tag, without spaces and without https://`,
		`prometheus: {replicas: 2}`:                                                                                    "spec.prometheus.replicas: 2, but every Prometheus collects metrics of its own, so there can be one at most; write 0 or 1, or remove the field",
		`prometheus: {autoscaling: {maxReplicas: 2}}`:                                                                  "spec.prometheus.autoscaling: every Prometheus collects metrics of its own, so there can be one at most; remove the field",
		`prometheus: {retention: 6 hours}`:                                                                             `spec.prometheus.retention: "6 hours" is no time such as 6h, 15d or 8w; write a number and h, d, w or y`,
		`prometheus: {volume: {size: 10}}`:                                                                             "spec.prometheus.volume.size: 10 is less than 1Gi; write 1Gi or more",
		`prometheus: {retention: 30d, volume: {size: 20Gi, storageClassName: fast}, replicas: 1}`:                      "",
	} {
		if got := strings.Join(invalidComponents(specOf(t, spec)), "; "); got != want {
			t.Errorf("%s:\n got %q\nwant %q", spec, got, want)
		}
	}
}
