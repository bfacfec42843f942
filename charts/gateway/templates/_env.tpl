{{- define "gateway.env" -}}
{{ include "mesh.env" . }}
- name: POD_UID
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
- name: INSTANCE_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: INSTANCE_IPS
  valueFrom:
    fieldRef:
      fieldPath: status.podIPs
- name: HOST_IP
  valueFrom:
    fieldRef:
      fieldPath: status.hostIP
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: SERVICE_ACCOUNT
  valueFrom:
    fieldRef:
      fieldPath: spec.serviceAccountName
- name: ISTIO_META_WORKLOAD_NAME
  value: {{ .app }}
- name: ISTIO_META_OWNER
  value: kubernetes://apis/apps/v1/namespaces/{{ .Values.namespace }}/deployments/{{ .app }}
- name: CA_ADDRESS
  value: istio-citadel.{{ .Values.namespace }}.svc:8060
- name: PILOT_ADDRESS
  value: istio-pilot.{{ .Values.namespace }}.svc:15011
- name: TRUST_DOMAIN
  value: {{ .Values.trustDomain }}
- name: MESH_REVISION
  value: {{ .Values.revision }}
- name: PROXY_CONCURRENCY
  value: {{ toJson (toString .Values.gateway.concurrency) }}
- name: PROXY_LOG_LEVEL
  value: {{ .Values.gateway.logLevel }}
- name: TERMINATION_DRAIN_DURATION
  value: {{ toJson .Values.gateway.drain }}
{{- end -}}
