{{- /* role: everything a role of the control plane consists of. Its argument is a dict:
  Values, name (of the Deployment and Service), app and istio (labels), account, container,
  args (list), ports (list of name, port, target),
  variables (list, more of the environment),
  identity (whether it needs a certificate from citadel), volumes and mounts (lists, more of them), annotations (more of them),
  token (whether it talks to the API server). */ -}}
{{- define "mesh.role" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .account }}
  namespace: {{ .Values.namespace }}
---
{{ include "mesh.roleService" . }}
---
{{ include "mesh.roleDeployment" . }}
{{ include "mesh.scaling" . }}
{{- end -}}

{{- define "mesh.roleService" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  namespace: {{ .Values.namespace }}
  labels:
    app: {{ .app }}
    istio: {{ .istio }}
spec:
  selector:
    {{- include "mesh.selector" . | nindent 4 }}
  ports:
  {{- range .ports }}
  - name: {{ .name }}
    port: {{ .port }}
    targetPort: {{ .target }}
    protocol: TCP
  {{- end }}
  - name: http-monitoring
    port: 15014
    targetPort: 15014
    protocol: TCP
{{- end -}}

{{- define "mesh.roleDeployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  namespace: {{ .Values.namespace }}
  labels:
    app: {{ .app }}
    istio: {{ .istio }}
spec:
  {{- if and (kindIs "float64" .Values.replicas) (not .Values.autoscaling) }}
  replicas: {{ int .Values.replicas }}
  {{- end }}
  revisionHistoryLimit: 2
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels:
      {{- include "mesh.selector" . | nindent 6 }}
  template:
    metadata:
      {{- include "mesh.podMetadata" . | nindent 6 }}
    spec:
      serviceAccountName: {{ .account }}
      automountServiceAccountToken: {{ .token }}
      {{- include "mesh.placement" . | nindent 6 }}
      {{- include "mesh.podSecurity" . | nindent 6 }}
      containers:
      - name: {{ .container }}
        image: {{ toJson .Values.image }}
        imagePullPolicy: {{ .Values.pullPolicy }}
        args:
        {{- range .args }}
        - {{ toJson . }}
        {{- end }}
        - "--monitoring-address=[$(POD_IP)]:15014"
        - "--debug-address=127.0.0.1:15014"
        env:
        {{- include "mesh.env" . | nindent 8 }}
        {{- with get . "variables" }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        - name: POD_IP
          valueFrom:
            fieldRef:
              fieldPath: status.podIP
        ports:
        {{- range .ports }}
        - name: {{ .name }}
          containerPort: {{ .target }}
          protocol: TCP
        {{- end }}
        - name: http-monitoring
          containerPort: 15014
          protocol: TCP
        readinessProbe:
          httpGet:
            path: /ready
            port: 15014
          periodSeconds: 2
          failureThreshold: 3
        # A process that does not answer at all is restarted; one that is only not ready is not.
        livenessProbe:
          httpGet:
            path: /live
            port: 15014
          initialDelaySeconds: 10
          periodSeconds: 10
          timeoutSeconds: 5
          failureThreshold: 6
        resources:
          {{- toYaml .Values.resources | nindent 10 }}
        {{- include "mesh.containerSecurity" . | nindent 8 }}
        volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if .identity }}
        {{- include "mesh.identityMounts" . | nindent 8 }}
        {{- end }}
        {{- with get . "mounts" }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      volumes:
      - name: tmp
        emptyDir:
          sizeLimit: 64Mi
      {{- if .identity }}
      {{- include "mesh.identityVolumes" . | nindent 6 }}
      {{- end }}
      {{- with get . "volumes" }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end -}}
