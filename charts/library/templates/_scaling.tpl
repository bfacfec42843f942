{{- define "mesh.scaling" -}}
{{- with .Values.autoscaling }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $.name }}
  namespace: {{ $.Values.namespace }}
spec:
  minReplicas: {{ int (default 1 (get . "minReplicas")) }}
  maxReplicas: {{ int .maxReplicas }}
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ $.name }}
  metrics:
  - type: Resource
    resource:
      name: cpu
      target:
        type: Utilization
        averageUtilization: {{ int (default 80 (get . "targetCPUUtilizationPercentage")) }}
{{- end }}
{{- with .Values.podDisruptionBudget }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $.name }}
  namespace: {{ $.Values.namespace }}
spec:
  {{- if hasKey . "minAvailable" }}
  minAvailable: {{ int .minAvailable }}
  {{- end }}
  {{- if hasKey . "maxUnavailable" }}
  maxUnavailable: {{ int .maxUnavailable }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "mesh.selector" $ | nindent 6 }}
{{- end }}
{{- end -}}
