{{- /* The configuration of Jaeger v2, one process with storage in memory. A port without a host listens on both address families. */ -}}
{{- define "jaeger.config" -}}
service:
  extensions: [jaeger_storage, jaeger_query, healthcheckv2]
  pipelines:
    traces: {receivers: [otlp, zipkin], processors: [batch], exporters: [jaeger_storage_exporter]}
  telemetry:
    metrics: {level: none}
extensions:
  healthcheckv2:
    use_v2: true
    http: {endpoint: ":13133"}
  jaeger_query:
    storage: {traces: memory}
    http: {endpoint: ":16686"}
    grpc: {endpoint: "127.0.0.1:16685"}
  jaeger_storage:
    backends:
      memory:
        memory: {max_traces: {{ int .Values.maxTraces }}}
receivers:
  otlp:
    protocols:
      grpc: {endpoint: ":4317"}
  zipkin: {endpoint: ":9411"}
processors:
  batch: {}
exporters:
  jaeger_storage_exporter: {trace_storage: memory}
{{- end -}}
