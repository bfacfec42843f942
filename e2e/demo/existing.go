package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// existing is the name for the cluster of the user's kubeconfig. Nothing is booted or loaded there: its nodes pull the images,
// and the demo leaves objects alone that it did not create.
const existing = "existing"

// madeBy labels the demo's namespace, to tell it from another one named bookinfo.
var madeBy = map[string]string{"app.kubernetes.io/part-of": "mesh-operator-demo"}

// adopt connects to the user's cluster, prints which one it is, and refuses one that has an operator already.
func (d *demo) adopt(ctx context.Context) error {
	own, err := d.connect(ctx)
	if err != nil || own {
		return err
	}
	_, err = d.lab.Dynamic.Resource(lab.InstallationResource).List(ctx, metav1.ListOptions{})
	if err == nil {
		return fmt.Errorf("use cluster %s: it has this operator already, which the demo would change and remove (remove it first, or use another cluster)", d.lab.Name)
	}
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("list installations: %w", err)
	}
	return d.lab.EnsureNamespace(ctx, bookinfo, madeBy)
}

// connect connects, prints the context, and reports whether the demo is deployed.
func (d *demo) connect(ctx context.Context) (own bool, err error) {
	if err := d.open(ctx); err != nil {
		return false, err
	}
	fmt.Fprintf(d.out, "using the context %q at %s\n", d.lab.Name, d.lab.Config.Host)
	return d.ownNamespace(ctx)
}

// ownNamespace reports whether the demo's namespace exists; another namespace of that name is an error.
func (d *demo) ownNamespace(ctx context.Context) (bool, error) {
	ns, err := d.lab.Client.CoreV1().Namespaces().Get(ctx, bookinfo, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get namespace %s: %w", bookinfo, err)
	}
	for key, value := range madeBy {
		if ns.Labels[key] != value {
			return false, fmt.Errorf("use namespace %s: it exists and is not the demo's (label %s=%s)", bookinfo, key, value)
		}
	}
	return true, nil
}

// leave deletes what the demo created on the user's cluster, in the order that leaves nothing: sidecars, mesh, operator.
func (d *demo) leave(ctx context.Context) error {
	own, err := d.connect(ctx)
	if err != nil {
		return err
	}
	if !own {
		return fmt.Errorf("leave cluster %s: the demo is not deployed (no namespace %s)", d.lab.Name, bookinfo)
	}
	return d.inOrder(ctx, []stage{
		{"end Bookinfo", d.endApplication},
		{"delete the Installation", d.deleteInstallation},
		{"delete the operator", d.deleteOperator},
		{"delete the namespace " + bookinfo, d.delete("namespace", bookinfo)},
	})
}

// endApplication deletes Bookinfo but not its namespace, whose label marks the rest as the demo's until all is deleted.
func (d *demo) endApplication(ctx context.Context) error {
	for _, file := range application {
		text, err := os.ReadFile(filepath.Join(d.lab.Root, file))
		if err != nil {
			return err
		}
		if err := d.lab.Delete(ctx, bookinfo, string(text)); err != nil && !meta.IsNoMatchError(err) {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	return lab.Until(ctx, "its pods are gone", func(ctx context.Context) error {
		pods, err := d.lab.Client.CoreV1().Pods(bookinfo).List(ctx, metav1.ListOptions{})
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("%d of them exist", len(pods.Items))
		}
		return err
	})
}

// deleteInstallation deletes the Installation; a demo that failed early has none.
func (d *demo) deleteInstallation(ctx context.Context) error {
	if _, err := d.lab.Installation(ctx); apierrors.IsNotFound(err) {
		return nil
	}
	return d.delete("installation", "-n", operatorNamespace, "istio-installation")(ctx)
}

// deleteOperator retries for a while: the API server refuses the deletion while its cache has an Installation.
func (d *demo) deleteOperator(ctx context.Context) error {
	timeout := time.After(30 * time.Second)
	for {
		err := d.delete("-k", d.operator)(ctx)
		if err == nil || !strings.Contains(err.Error(), "remove it first") {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-timeout:
			return err
		case <-time.After(time.Second):
		}
	}
}

func (d *demo) delete(what ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		args := append([]string{"delete", "--ignore-not-found", "--timeout=5m"}, what...)
		_, err := d.lab.Kubectl(ctx, args...)
		return err
	}
}

// endpoints prints the addresses that the Installation's status lists.
func (d *demo) endpoints(ctx context.Context) error {
	in, err := d.lab.Installation(ctx)
	if err != nil {
		return err
	}
	list, _, err := unstructured.NestedSlice(in.Object, "status", "endpoints")
	if err != nil {
		return fmt.Errorf("read status.endpoints: %w", err)
	}
	for i, e := range list {
		entry, ok := e.(map[string]any)
		if !ok {
			return errors.New("read status.endpoints: an entry is no object")
		}
		if i == 0 {
			fmt.Fprintf(d.out, "bookinfo %v/productpage\n", entry["url"])
		}
		fmt.Fprintln(d.out, entry["name"], entry["url"])
	}
	return nil
}
