package scenarios

import (
	"context"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// namedPods is a StatefulSet whose pods have DNS names, and a Service that is an alias of another.
const namedPods = `
apiVersion: v1
kind: Service
metadata: {name: bins}
spec:
  clusterIP: None
  selector: {app: bins}
  ports: [{name: http, port: 80, targetPort: 8080}]
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

// TestServiceNames calls a service of a strict mesh by each of its DNS names, and a pod behind a headless one by its address.
// The port of the headless service is not the pods' port, which its clients call.
func TestServiceNames(t *testing.T) {
	readyMesh(t)
	namespace(t, "names", injected)
	must(t, mesh.Apply(within(t, time.Minute), "names", namedPods))
	deploy(t, "names", sleepSample)
	var address string
	must(t, lab.Until(within(t, 2*time.Minute), "the server is ready", func(ctx context.Context) error {
		pod, err := mesh.RunningPod(ctx, "names", "app=bins")
		if err == nil {
			address = pod.Status.PodIP
		}
		return err
	}))
	for _, url := range []string{
		"http://" + address + ":8080/headers",
		"http://bins-0.bins:8080/headers",
		"http://bins-0.bins.names:8080/headers",
		"http://bins-0.bins.names.svc.cluster.local:8080/headers",
		"http://bins:8080/headers",
		"http://whole:8000/headers",
		"http://whole.names.svc:8000/headers",
		"http://alias:8000/headers",
		"http://alias.names.svc.cluster.local:8000/headers",
	} {
		eventuallyStatus(t, url+" is answered", 200, "names", url)
	}
}
