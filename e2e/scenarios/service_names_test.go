package scenarios

import (
	"testing"
	"time"
)

// numbered is a StatefulSet whose pods are called by name, and a second name for its Service.
const numbered = `
apiVersion: v1
kind: Service
metadata: {name: bins}
spec:
  clusterIP: None
  selector: {app: bins}
  ports: [{name: http, port: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: whole}
spec:
  selector: {app: bins}
  ports: [{name: http, port: 8000, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: whole.names.svc.cluster.local}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: bins}
spec:
  serviceName: bins
  replicas: 1
  selector: {matchLabels: {app: bins}}
  template:
    metadata: {labels: {app: bins}}
    spec:
      containers:
      - name: httpbin
        image: quay.io/mesh-operator/httpbin:0.1.0
        imagePullPolicy: IfNotPresent
        ports: [{containerPort: 8080}]
`

// TestNames calls a service of a strict mesh by each name that DNS knows it by.
func TestNames(t *testing.T) {
	namespace(t, "names", injected)
	applyFile(t, "names", "samples/sleep/sleep.yaml")
	apply(t, "names", numbered)
	must(t, mesh.Available(within(t, 3*time.Minute), "names"))
	for _, url := range []string{
		"http://bins-0.bins:8080/headers",
		"http://bins-0.bins.names:8080/headers",
		"http://bins-0.bins.names.svc.cluster.local:8080/headers",
		"http://bins:8080/headers",
		"http://whole:8000/headers",
		"http://whole.names.svc:8000/headers",
		"http://alias:8000/headers",
		"http://alias.names.svc.cluster.local:8000/headers",
	} {
		eventuallyStatus(t, url+" is answered", 200, "names", "app=sleep", "sleep", url)
	}
}
