{{- /* placement: where a pod may run, as the Installation says. */ -}}
{{- define "mesh.placement" -}}
{{- with .Values.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{ toJson . }}
{{- end }}
{{- with .Values.topologySpreadConstraints }}
topologySpreadConstraints: {{ toJson . }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ toJson . }}
{{- end }}
{{- end -}}

{{- /* The restricted profile of the Pod Security Standards. There is no runAsUser: the images name a numeric user, and
OpenShift chooses one of its own. */ -}}
{{- define "mesh.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "mesh.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities:
    drop: [ALL]
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "mesh.env" -}}
{{- range .Values.env }}
- name: {{ toJson .name }}
  value: {{ toJson (default "" .value) }}
{{- end }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- end -}}

{{- /* identity: the token that citadel checks and the roots that it is checked against. The bundle is optional, because a
pod may start before citadel wrote it; the process waits for the file. */ -}}
{{- define "mesh.identityVolumes" -}}
- name: istio-token
  projected:
    sources:
    - serviceAccountToken:
        audience: istio-ca
        expirationSeconds: 43200
        path: istio-token
- name: istio-ca-root-cert
  configMap:
    name: istio-ca-root-cert
    optional: true
{{- end -}}

{{- define "mesh.identityMounts" -}}
- name: istio-token
  mountPath: /var/run/secrets/tokens
  readOnly: true
- name: istio-ca-root-cert
  mountPath: /var/run/secrets/istio
  readOnly: true
{{- end -}}

{{- define "mesh.podMetadata" -}}
annotations:
  {{- with .Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with get . "annotations" }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  sidecar.istio.io/inject: "false"
labels:
  {{- $own := dict "app" .app "istio" .istio }}
  {{- range $key, $value := merge $own (default dict (get . "labels")) (default dict .Values.podLabels) }}
  {{- if not (hasPrefix "istio.openshift.com/" $key) }}
  {{- if not (has $key (list "app.kubernetes.io/managed-by" "istio.io/rev")) }}
  {{ toJson $key }}: {{ toJson $value }}
  {{- end }}
  {{- end }}
  {{- end }}
  {{- include "mesh.ownerLabels" . | nindent 2 }}
{{- end -}}
