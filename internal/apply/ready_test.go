package apply

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestReady: a Deployment is ready when its template has all its pods, and stays so until there is another template.
func TestReady(t *testing.T) {
	const once = `conditions: [{type: Progressing, status: "True", reason: NewReplicaSetAvailable}, `
	cases := map[string]struct {
		status string
		want   bool
	}{
		"Complete":    {`{observedGeneration: 2, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3, ` + once + `{type: Available, status: "True"}]}`, true},
		"OnePodLost":  {`{observedGeneration: 2, replicas: 3, updatedReplicas: 3, readyReplicas: 2, availableReplicas: 2, ` + once + `{type: Available, status: "True"}]}`, true},
		"AllPodsLost": {`{observedGeneration: 2, replicas: 3, updatedReplicas: 3, ` + once + `{type: Available, status: "False"}]}`, true},
		"New":         {`{}`, false},
		"First":       {`{observedGeneration: 2, replicas: 3, updatedReplicas: 3, readyReplicas: 2, availableReplicas: 2, conditions: [{type: Progressing, status: "True", reason: ReplicaSetUpdated}]}`, false},
		"Unseen":      {`{observedGeneration: 1, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3, ` + once + `{type: Available, status: "True"}]}`, false},
		"Returning":   {`{observedGeneration: 2, replicas: 3, updatedReplicas: 0, readyReplicas: 3, availableReplicas: 3, ` + once + `{type: Available, status: "True"}]}`, false},
		"Stuck":       {`{observedGeneration: 2, replicas: 4, updatedReplicas: 1, readyReplicas: 3, availableReplicas: 3, conditions: [{type: Progressing, status: "False", reason: ProgressDeadlineExceeded}]}`, false},
	}
	for name, c := range cases {
		data, err := yaml.YAMLToJSON([]byte(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, generation: 2}, spec: {replicas: 3, progressDeadlineSeconds: 600}, status: ` + c.status + `}`))
		if err != nil {
			t.Fatal(err)
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(data); err != nil {
			t.Fatal(err)
		}
		if got, err := Ready(object); err != nil || got != c.want {
			t.Errorf("%s: %t, %v; want %t", name, got, err, c.want)
		}
	}
}
