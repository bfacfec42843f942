{{- /* Labels that pods of ours carry besides what their selector needs; objects get theirs from the operator. */ -}}
{{- define "mesh.ownerLabels" -}}
app.kubernetes.io/managed-by: mesh-operator
istio.openshift.com/installation: istio-installation
istio.openshift.com/component: {{ .Values.component }}
istio.io/rev: {{ .Values.revision }}
{{- end -}}

{{- /* selector: what a Deployment, its Service and its budget find pods by. It can never change. */ -}}
{{- define "mesh.selector" -}}
app: {{ .app }}
istio.openshift.com/component: {{ .Values.component }}
istio.io/rev: {{ .Values.revision }}
{{- end -}}
