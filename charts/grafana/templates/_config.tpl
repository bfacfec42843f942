{{- /* The configuration of Grafana 6.1 and newer: what one version does not know it ignores. */ -}}
{{- define "grafana.ini" -}}
[server]
http_port = 3000
[paths]
data = /var/lib/grafana
logs = /var/lib/grafana/log
plugins = /var/lib/grafana/plugins
provisioning = /etc/grafana/provisioning
[log]
mode = console
[security]
disable_gravatar = true
cookie_samesite = lax
[users]
allow_sign_up = false
[auth.anonymous]
enabled = {{ .Values.anonymous }}
org_role = Viewer
# The only pages without a login are the login itself and /api/health.
[metrics]
enabled = false
[snapshots]
external_enabled = false
# Nothing is sent or fetched beyond the cluster.
[analytics]
reporting_enabled = false
check_for_updates = false
check_for_plugin_updates = false
feedback_links_enabled = false
[news]
news_feed_enabled = false
[plugins]
plugin_admin_enabled = false
# From 13.2 on the data source for Prometheus is a plugin in the image. Grafana would replace it by one that it downloads, fails to
# where files are read-only, and is left with none.
preinstall_disabled = true
{{- end -}}

{{- define "grafana.datasources" -}}
apiVersion: 1
datasources:
- name: Prometheus
  uid: prometheus
  type: prometheus
  access: proxy
  url: {{ toJson .Values.prometheusURL }}
  isDefault: true
  editable: false
  jsonData:
    timeInterval: 15s # of scrapes
    httpMethod: GET
{{- end -}}

{{- define "grafana.dashboards" -}}
apiVersion: 1
providers:
- name: istio
  orgId: 1
  folder: Istio
  type: file
  disableDeletion: true
  editable: false
  allowUiUpdates: false
  updateIntervalSeconds: 30
  options:
    path: /var/lib/grafana/dashboards/istio
{{- end -}}
