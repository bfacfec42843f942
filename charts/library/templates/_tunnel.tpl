{{- /* tunnel: a container that carries connections of an add-on over mutual TLS (package proxy/tunnel). It starts before the program
that connects through it, and ends after it. Its argument is a dict: Values, args (list). The pod needs mesh.identityVolumes. */ -}}
{{- define "mesh.tunnel" -}}
- name: tunnel
  image: {{ toJson .Values.tunnelImage }}
  imagePullPolicy: {{ .Values.pullPolicy }}
  restartPolicy: Always
  args:
  - tunnel
  {{- range .args }}
  - {{ toJson . }}
  {{- end }}
  ports:
  - name: http-tunnel
    containerPort: 15021
    protocol: TCP
  {{- with get . "ports" }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with get . "startupProbe" }}
  startupProbe:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  readinessProbe:
    httpGet:
      path: /healthz/ready
      port: 15021
    periodSeconds: 2
    timeoutSeconds: 3
    failureThreshold: 5
  resources:
    requests:
      cpu: 10m
      memory: 32Mi
    limits:
      memory: 128Mi
  {{- include "mesh.containerSecurity" . | nindent 2 }}
  volumeMounts:
  {{- include "mesh.identityMounts" . | nindent 2 }}
{{- end -}}

{{- /* elasticsearchClient: the tunnel of a pod that uses the mesh's Elasticsearch at 127.0.0.1:9200. What follows it starts when
Elasticsearch answers. */ -}}
{{- define "mesh.elasticsearchClient" -}}
{{- $args := list "client" "--listen=127.0.0.1:9200" (printf "--server=elasticsearch.%s.svc:9200" .Values.namespace) "--ready-url=http://127.0.0.1:9200/" -}}
{{- $probe := dict "httpGet" (dict "path" "/healthz/ready" "port" 15021) "periodSeconds" 1 "timeoutSeconds" 3 "failureThreshold" 600 -}}
{{- include "mesh.tunnel" (dict "Values" .Values "args" $args "startupProbe" $probe) -}}
{{- end -}}
