{{- define "gateway.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  namespace: {{ .Values.namespace }}
  labels:
    app: {{ .app }}
    {{- toYaml .labels | nindent 4 }}
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
      {{- include "gateway.podMetadata" . | nindent 6 }}
    spec:
      serviceAccountName: {{ .app }}-service-account
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: {{ .Values.gateway.gracePeriod }}
      {{- include "mesh.placement" . | nindent 6 }}
      {{- include "mesh.podSecurity" . | nindent 6 }}
      containers:
      - name: istio-proxy
        image: {{ toJson .Values.image }}
        imagePullPolicy: {{ .Values.pullPolicy }}
        args: [proxy, router]
        env:
        {{- include "gateway.env" . | nindent 8 }}
        ports:
        {{- range .Values.gateway.containerPorts }}
        - containerPort: {{ .port }}
          protocol: {{ .protocol }}
        {{- end }}
        - name: http-envoy-prom
          containerPort: 15090
          protocol: TCP
        startupProbe:
          httpGet:
            path: /healthz/ready
            port: 15021
          periodSeconds: 1
          failureThreshold: 600
        readinessProbe:
          httpGet:
            path: /healthz/ready
            port: 15021
          periodSeconds: 2
          failureThreshold: 15
        lifecycle:
          preStop:
            exec:
              command: [/usr/local/bin/mesh-agent, proxy, drain]
        resources:
          {{- toYaml .Values.resources | nindent 10 }}
        {{- include "mesh.containerSecurity" . | nindent 8 }}
        volumeMounts:
        {{- include "mesh.identityMounts" . | nindent 8 }}
        - name: istio-envoy
          mountPath: /etc/istio/proxy
        - name: istio-podinfo
          mountPath: /etc/istio/pod
          readOnly: true
      volumes:
      {{- include "mesh.identityVolumes" . | nindent 6 }}
      # In memory, because private keys must never reach a disk.
      - name: istio-envoy
        emptyDir:
          medium: Memory
          sizeLimit: 64Mi
      - name: istio-podinfo
        downwardAPI:
          items:
          - path: labels
            fieldRef:
              fieldPath: metadata.labels
          - path: annotations
            fieldRef:
              fieldPath: metadata.annotations
{{- end -}}

{{- /* A gateway's labels are what the selector of an Istio Gateway looks for: the Installation decides them. */ -}}
{{- define "gateway.podMetadata" -}}
annotations:
  {{- with .Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  sidecar.istio.io/inject: "false"
  prometheus.io/scrape: "true"
  prometheus.io/port: "15020"
  prometheus.io/path: /stats/prometheus
labels:
  {{- toYaml .Values.gateway.podLabels | nindent 2 }}
  app: {{ .app }}
  service.istio.io/canonical-name: {{ .app }}
  service.istio.io/canonical-revision: latest
  {{- include "mesh.ownerLabels" . | nindent 2 }}
{{- end -}}
