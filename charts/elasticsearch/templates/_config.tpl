{{- /* The configuration of OpenSearch 2, which is Elasticsearch 7 with other names. It is on loopback: the tunnel in the pod lets
Jaeger in and nobody else. */ -}}
{{- define "elasticsearch.config" -}}
cluster.name: mesh-traces
node.name: elasticsearch-0
discovery.type: single-node
network.host: 127.0.0.1
http.port: 9201
transport.port: 9301
path.data: /usr/share/opensearch/data
path.logs: /tmp
# Without maps of files the node needs no higher vm.max_map_count.
node.store.allow_mmap: false
action.destructive_requires_name: true
{{- end -}}

{{- define "elasticsearch.logging" -}}
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
{{- end -}}
