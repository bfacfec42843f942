{{- define "injector.webhook" -}}
admissionReviewVersions: [v1]
sideEffects: None
failurePolicy: Fail
timeoutSeconds: 10
matchPolicy: Equivalent
clientConfig:
  caBundle: {{ .Values.caBundle }}
  service:
    name: istio-sidecar-injector
    namespace: {{ .Values.namespace }}
    path: /inject
    port: 443
rules:
- apiGroups: [""]
  apiVersions: [v1]
  operations: [CREATE]
  resources: [pods]
  scope: Namespaced
{{- end -}}
