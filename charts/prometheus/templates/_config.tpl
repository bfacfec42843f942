{{- /* The configuration of Prometheus 2.42 and newer. Every scrape is plaintext and read-only: ports 15014 and 15020 are not captured
by sidecars, so strict mutual TLS needs no exception. */ -}}
{{- define "prometheus.config" -}}
global:
  scrape_interval: 15s
  evaluation_interval: 15s
rule_files: [/etc/prometheus/rules.yml]
scrape_configs:
# The roles of the control plane and the operator.
- job_name: istio-control-plane
  kubernetes_sd_configs:
  - role: pod
    namespaces:
      names: [{{ .Values.namespace }}, {{ .Values.operatorNamespace }}]
  relabel_configs:
  - source_labels: [__meta_kubernetes_pod_container_port_number, __meta_kubernetes_pod_container_port_name]
    regex: 15014;http-monitoring
    action: keep
  {{- include "prometheus.targetLabels" . | nindent 2 }}
  - source_labels: [__meta_kubernetes_pod_label_istio_openshift_com_component]
    target_label: component
# Sidecars and gateways: Envoy, its agent and, merged by it, the application.
- job_name: istio-proxies
  metrics_path: /stats/prometheus
  kubernetes_sd_configs:
  - role: pod
  relabel_configs:
  - source_labels: [__meta_kubernetes_pod_container_name]
    regex: istio-proxy
    action: keep
  {{- include "prometheus.address" (dict "port" "15020") | nindent 2 }}
  {{- include "prometheus.targetLabels" . | nindent 2 }}
  {{- include "prometheus.podLabels" . | nindent 2 }}
  {{- include "prometheus.workload" . | nindent 2 }}
  metric_relabel_configs:
  # A proxy does not decide whose traffic it counts: its own side is the workload that was scraped.
  {{- range $side := list "source" "destination" }}
  {{- range $from, $to := dict "namespace" "workload_namespace" "workload" "workload" }}
  - source_labels: [__name__, reporter, {{ $from }}]
    regex: istio_[a-z_]+;{{ $side }};(.+)
    target_label: {{ $side }}_{{ $to }}
  {{- end }}
  {{- end }}
  - regex: workload
    action: labeldrop
# Applications without a sidecar that ask to be scraped by the annotations prometheus.io/scrape, scheme, path and port. With a
# sidecar the agent merges what the annotations name.
- job_name: kubernetes-pods
  kubernetes_sd_configs:
  - role: pod
  relabel_configs:
  - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape]
    regex: "true"
    action: keep
  - source_labels: [__meta_kubernetes_pod_annotationpresent_sidecar_istio_io_status]
    regex: "true"
    action: drop
  - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_port, __meta_kubernetes_pod_annotation_prometheus_io_path]
    regex: 15020;/stats/prometheus
    action: drop
  - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scheme]
    regex: (https?)
    target_label: __scheme__
  - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path]
    regex: (.+)
    target_label: __metrics_path__
  {{- include "prometheus.addressOfAnnotation" . | nindent 2 }}
  {{- include "prometheus.targetLabels" . | nindent 2 }}
  {{- include "prometheus.podLabels" . | nindent 2 }}
  metric_relabel_configs:
  # An application does not testify about the mesh.
  - source_labels: [__name__]
    regex: (istio|envoy|pilot|citadel|galley|mesh)_.*
    action: drop
{{- end -}}

{{- /* Several targets of one pod become one by this. */ -}}
{{- define "prometheus.address" -}}
- source_labels: [__meta_kubernetes_pod_ip]
  regex: ([0-9.]+)
  replacement: $1:{{ .port }}
  target_label: __address__
- source_labels: [__meta_kubernetes_pod_ip]
  regex: ([0-9a-fA-F:]*:[0-9a-fA-F:.]*)
  replacement: "[$1]:{{ .port }}"
  target_label: __address__
{{- end -}}

{{- define "prometheus.addressOfAnnotation" -}}
- source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_port, __meta_kubernetes_pod_ip]
  regex: ([0-9]+);([0-9.]+)
  replacement: $2:$1
  target_label: __address__
- source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_port, __meta_kubernetes_pod_ip]
  regex: ([0-9]+);([0-9a-fA-F:]*:[0-9a-fA-F:.]*)
  replacement: "[$2]:$1"
  target_label: __address__
{{- end -}}

{{- /* A pod that has ended keeps its address in the API until it is deleted. */ -}}
{{- define "prometheus.targetLabels" -}}
- source_labels: [__meta_kubernetes_pod_phase]
  regex: Pending|Succeeded|Failed|Completed
  action: drop
- source_labels: [__meta_kubernetes_namespace]
  target_label: namespace
- source_labels: [__meta_kubernetes_pod_name]
  target_label: pod
{{- end -}}

{{- define "prometheus.podLabels" -}}
- source_labels: [__meta_kubernetes_pod_label_app]
  regex: (.+)
  target_label: app
- source_labels: [__meta_kubernetes_pod_label_version]
  regex: (.+)
  target_label: version
{{- end -}}

{{- /* The name of a ReplicaSet is its Deployment's and a hash; a pod without a controller is its own workload. */ -}}
{{- define "prometheus.workload" -}}
- source_labels: [__meta_kubernetes_pod_name]
  target_label: workload
- source_labels: [__meta_kubernetes_pod_controller_name]
  regex: (.+)
  target_label: workload
- source_labels: [__meta_kubernetes_pod_controller_kind, __meta_kubernetes_pod_controller_name]
  regex: ReplicaSet;(.+)-[a-z0-9]+
  target_label: workload
{{- end -}}
