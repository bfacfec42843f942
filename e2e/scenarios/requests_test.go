package scenarios

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// change merges a patch into the Installation, waits until it is done, and merges back at the scenario's end.
func change(t *testing.T, patch, back string) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if err := edit(ctx, back); err != nil {
			t.Error(err)
		}
	})
	must(t, edit(within(t, 3*time.Minute), patch))
}

// edit merges a patch into the Installation and waits until it is done.
func edit(ctx context.Context, patch string) error {
	installations := mesh.Dynamic.Resource(lab.InstallationResource).Namespace("istio-operator")
	_, err := installations.Patch(ctx, "istio-installation", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return err
	}
	if err := mesh.InstallationReady(ctx); err != nil {
		return err
	}
	return mesh.Available(ctx, "istio-system")
}

// restart replaces the pods of a Deployment and waits until only new ones run.
func restart(t *testing.T, namespace, deployment string) {
	t.Helper()
	_, err := mesh.Kubectl(within(t, 30*time.Second), "rollout", "restart", "-n", namespace, "deployment/"+deployment)
	must(t, err)
	_, err = mesh.Kubectl(within(t, 2*time.Minute), "rollout", "status", "-n", namespace, "deployment/"+deployment)
	must(t, err)
}

// snapshot is every object of the API, as lab.Snapshot names them, once the namespaces of earlier scenarios are gone.
func snapshot(t *testing.T) []string {
	t.Helper()
	must(t, lab.Until(within(t, 2*time.Minute), "no namespace is being deleted", noneTerminating))
	out, err := mesh.Snapshot(within(t, time.Minute))
	must(t, err)
	return out
}

func noneTerminating(ctx context.Context) error {
	namespaces, err := mesh.Client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, ns := range namespaces.Items {
		if ns.DeletionTimestamp != nil {
			return fmt.Errorf("namespace %s is going", ns.Name)
		}
	}
	return nil
}

// logHas checks that the operator's log contains a text.
func logHas(text string) func(context.Context) error {
	return func(ctx context.Context) error {
		log, err := mesh.Logs(ctx, "istio-operator", "name=istio-operator", "", 0)
		if err == nil && !strings.Contains(log, text) {
			err = fmt.Errorf("not in the log: %s", text)
		}
		return err
	}
}

// ingress returns the forwarded address of one of the ingress gateway's ports.
func ingress(t *testing.T, port string) string {
	t.Helper()
	url, err := mesh.URL(within(t, 30*time.Second), "istio-system/istio-ingressgateway/"+port)
	must(t, err)
	return url
}

// page opens a path through the ingress gateway.
func page(ctx context.Context, t *testing.T, path string, header map[string]string) (lab.Reply, error) {
	t.Helper()
	return lab.Get(ctx, lab.Request{URL: ingress(t, "http") + path, Header: header})
}

// eventually waits until a request answers with status.
func eventually(t *testing.T, what string, status int, request func(context.Context) (lab.Reply, error)) lab.Reply {
	t.Helper()
	var reply lab.Reply
	must(t, lab.Until(within(t, time.Minute), what, func(ctx context.Context) (err error) {
		reply, err = request(ctx)
		if err == nil && reply.Status != status {
			err = fmt.Errorf("status %d, not %d: %.200s", reply.Status, status, reply.Body)
		}
		return err
	}))
	return reply
}

// statuses sends count requests from a pod of namespace and returns how often each status came back; 0 stands for no
// answer.
func statuses(ctx context.Context, namespace, selector, container string, count int, args ...string) (map[int]int, error) {
	command := append([]string{"curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-n", strconv.Itoa(count), "-m", "10"}, args...)
	text, err := mesh.Exec(ctx, namespace, selector, container, command...)
	seen := map[int]int{}
	for _, field := range strings.Fields(text) {
		code, convErr := strconv.Atoi(field)
		if convErr != nil {
			return seen, fmt.Errorf("parse status %q: %w", field, convErr)
		}
		seen[code]++
	}
	if len(seen) > 0 {
		err = nil // the command ends with an error when a request fails; the counts say it better
	}
	return seen, err
}

// eventuallyStatus waits until one request from a pod answers with status.
func eventuallyStatus(t *testing.T, what string, status int, namespace, selector, container string, args ...string) {
	t.Helper()
	must(t, lab.Until(within(t, time.Minute), what, func(ctx context.Context) error {
		seen, err := statuses(ctx, namespace, selector, container, 1, args...)
		if err == nil && seen[status] != 1 {
			err = fmt.Errorf("got %v, not %d", seen, status)
		}
		return err
	}))
}
