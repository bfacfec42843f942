{{- define "injector.webhook" -}}
admissionReviewVersions: [v1]
sideEffects: None
failurePolicy: Fail
timeoutSeconds: 10
matchPolicy: Equivalent
clientConfig:
  caBundle: {{ .root.Values.caBundle }}
  service:
    name: istio-sidecar-injector
    namespace: {{ .root.Values.namespace }}
    path: {{ .path }}
    port: 443
rules:
- apiGroups: [""]
  apiVersions: [v1]
  operations: [CREATE]
  resources: [pods]
  scope: Namespaced
{{- end -}}
