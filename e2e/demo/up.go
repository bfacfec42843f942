package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

const (
	bookinfo = "bookinfo" // namespace of the sample application
	requests = 60         // what the demo sends; enough to see all three versions of reviews
)

// application is what the demo applies for Bookinfo, in this order.
var application = []string{"samples/bookinfo/bookinfo.yaml", "samples/bookinfo/destination-rule-all-mtls.yaml", "samples/bookinfo/bookinfo-gateway.yaml"}

// up is `make demo`.
func (d *demo) up(ctx context.Context) error {
	started := time.Now()
	if err := d.cluster(ctx); err != nil {
		return err
	}
	var seen versionCounts
	err := d.inOrder(ctx, []stage{
		{"install the operator", d.installOperator},
		{"create the Installation and wait for Ready", d.installMesh},
		{"deploy Bookinfo", d.deployBookinfo},
		{fmt.Sprintf("send %d requests", requests), func(ctx context.Context) (err error) {
			seen, err = d.traffic(ctx)
			return err
		}},
	})
	if err == nil {
		err = d.proof(ctx, seen, time.Since(started))
	}
	if err != nil {
		d.explain(context.WithoutCancel(ctx))
	}
	return err
}

func (d *demo) installOperator(ctx context.Context) error {
	operator := lab.Operator
	switch {
	case d.name == existing && d.registry != "":
		operator = mirrored
	case d.name == existing:
		operator = d.operator
	}
	if _, err := d.lab.Kubectl(ctx, "apply", "--server-side", "-k", operator); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	return d.lab.Available(ctx, operatorNamespace)
}

func (d *demo) installMesh(ctx context.Context) error {
	if err := d.lab.ApplyFile(ctx, operatorNamespace, "config/samples/istio-installation.yaml"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	return d.lab.InstallationReady(ctx)
}

func (d *demo) deployBookinfo(ctx context.Context) error {
	if err := d.lab.EnsureNamespace(ctx, bookinfo, map[string]string{"istio-injection": "enabled"}); err != nil {
		return err
	}
	for _, file := range application {
		text, err := os.ReadFile(filepath.Join(d.lab.Root, file))
		if err != nil {
			return err
		}
		if err := d.lab.Apply(ctx, bookinfo, d.fromRegistry(string(text))); err != nil {
			return fmt.Errorf("apply %s: %w", file, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := d.lab.Available(ctx, bookinfo); err != nil {
		return err
	}
	return lab.Until(ctx, "the product page opens", func(ctx context.Context) error {
		reply, err := d.page(ctx)
		if err == nil && reply.Status != 200 {
			err = fmt.Errorf("status %d: %.200s", reply.Status, reply.Body)
		}
		return err
	})
}

// mirrored is the kustomization that go run ./e2e/images push writes.
const mirrored = ".out/images/mirror"

// fromRegistry takes the images of this repository's applications from --registry.
func (d *demo) fromRegistry(manifest string) string {
	if d.registry == "" {
		return manifest
	}
	return strings.ReplaceAll(manifest, "image: quay.io/mesh-operator/", "image: "+strings.TrimSuffix(d.registry, "/")+"/")
}

// page opens Bookinfo through the ingress gateway: by its forwarded address on the local cluster, and through the API server on
// another one, whose load balancer may not be reachable.
func (d *demo) page(ctx context.Context) (lab.Reply, error) {
	if d.name == existing {
		return lab.Get(ctx, lab.Request{URL: "http://bookinfo/productpage", Client: d.gateway})
	}
	url, err := d.lab.URL(ctx, "istio-system/istio-ingressgateway/http")
	if err != nil {
		return lab.Reply{}, err
	}
	return lab.Get(ctx, lab.Request{URL: url + "/productpage"})
}
