{{- /* The configuration of Jaeger v2: its roles jaeger (all of them in one process), jaeger-collector, jaeger-query and jaeger-agent
are different pipelines of one program. A port without a host listens on both address families. */ -}}
{{- define "jaeger.config" -}}
{{- $storage := ne .Values.workload "jaeger-agent" -}}
{{- $query := has .Values.workload (list "jaeger" "jaeger-query") -}}
{{- $collects := has .Values.workload (list "jaeger" "jaeger-collector") -}}
service:
  extensions: [healthcheckv2{{ if $storage }}, jaeger_storage{{ end }}{{ if $query }}, jaeger_query{{ end }}]
  pipelines:
    {{- if $collects }}
    traces: {receivers: [otlp, zipkin], processors: [batch], exporters: [jaeger_storage_exporter]}
    {{- else if $query }}
    traces: {receivers: [nop], exporters: [nop]}
    {{- else }}
    traces: {receivers: [jaeger, otlp, zipkin], processors: [batch], exporters: [otlp]}
    {{- end }}
  telemetry:
    metrics: {level: none}
extensions:
  healthcheckv2:
    use_v2: true
    http: {endpoint: ":13133"}
  {{- if $query }}
  jaeger_query:
    storage: {traces: traces}
    http: {endpoint: ":16686"}
    grpc: {endpoint: "127.0.0.1:16685"}
  {{- end }}
  {{- if $storage }}
  jaeger_storage:
    backends:
      traces:
        {{- include "jaeger.storage" . | nindent 8 }}
  {{- end }}
receivers:
  {{- if and $query (not $collects) }}
  nop: {}
  {{- else }}
  otlp:
    protocols:
      grpc: {endpoint: ":4317"}
  zipkin: {endpoint: ":9411"}
  {{- if not $collects }}
  jaeger:
    protocols:
      thrift_compact: {endpoint: ":6831"}
      thrift_binary: {endpoint: ":6832"}
  {{- end }}
  {{- end }}
processors:
  batch: {}
exporters:
  {{- if $collects }}
  jaeger_storage_exporter: {trace_storage: traces}
  {{- else if $query }}
  nop: {}
  {{- else }}
  otlp:
    endpoint: jaeger-collector.{{ .Values.namespace }}.svc:4317
    tls: {insecure: true}
  {{- end }}
{{- end -}}

{{- define "jaeger.storage" -}}
{{- if eq .Values.storage "Memory" -}}
memory: {max_traces: {{ int .Values.maxTraces }}}
{{- else if eq .Values.storage "Badger" -}}
badger:
  directories: {keys: /badger/keys, values: /badger/values}
  ephemeral: false
  ttl: {spans: {{ mul (int .Values.retentionDays) 24 }}h}
{{- else -}}
elasticsearch:
  {{- with .Values.external }}
  server_urls: [{{ toJson .url }}]
  {{- if .secret }}
  auth:
    basic: {username: "${env:ES_USERNAME}", password: "${env:ES_PASSWORD}"}
  {{- end }}
  {{- if and .secret (hasPrefix "https" .url) }}
  tls: {ca_file: /etc/elasticsearch/ca.crt, include_system_ca_certs_pool: true}
  {{- end }}
  {{- else }}
  server_urls: ["http://127.0.0.1:9200"]
  {{- end }}
  # Without mappings of its own a query of an index without spans is an error.
  create_mappings: true
  indices:
    {{- range $index := list "spans" "services" "dependencies" "sampling" }}
    {{ $index }}: {date_layout: "2006-01-02", rollover_frequency: day, shards: 1, replicas: {{ if $.Values.external }}1{{ else }}0{{ end }}}
    {{- end }}
{{- end -}}
{{- end -}}
