package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// demo is one invocation of the command.
type demo struct {
	name     string
	operator string // kustomization of the operator for an existing cluster
	registry string // of all images for an existing cluster; empty: each image has its own
	out      io.Writer
	lab      *lab.Lab

	gateway *http.Client // to the ingress gateway of a cluster that is not ours
}

// stage is a step with a name.
type stage struct {
	name string
	run  func(context.Context) error
}

func (d *demo) inOrder(ctx context.Context, stages []stage) error {
	for _, s := range stages {
		if err := step(ctx, d.out, s.name, s.run); err != nil {
			return err
		}
	}
	return nil
}

// cluster boots a cluster that holds every image, so that the next steps need no registry.
func (d *demo) cluster(ctx context.Context) error {
	if d.name == existing {
		return d.adopt(ctx)
	}
	root, err := lab.Root()
	if err != nil {
		return err
	}
	d.lab = &lab.Lab{Name: d.name, Root: root}
	return d.inOrder(ctx, []stage{
		{"build the cluster's command", d.shell("make", "-s", ".bin/cluster")},
		{"fetch and build Kubernetes (cold: ten minutes)", d.shell(".bin/cluster", "fetch")},
		{"build the images", d.shell("go", "run", "./e2e/images", "build", "--out", ".out/images")},
		{"boot the cluster " + d.name, d.shell(".bin/cluster", "up", "--name", d.name)},
		{"load the images", d.load},
		{"connect", d.open},
	})
}

// shell returns a step that runs a command whose output is shown as it comes.
func (d *demo) shell(name string, args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		path := name
		if strings.HasPrefix(name, ".bin/") {
			path = filepath.Join(d.lab.Root, name)
		}
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = d.lab.Root, d.out, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("run %s %s: %w", name, strings.Join(args, " "), err)
		}
		return nil
	}
}

func (d *demo) load(ctx context.Context) error {
	tars, err := filepath.Glob(filepath.Join(d.lab.Root, ".out", "images", "*.tar"))
	if err != nil || len(tars) == 0 {
		return fmt.Errorf("find images: none in .out/images")
	}
	slices.Sort(tars)
	for _, tar := range tars {
		if _, err := d.lab.Cluster(ctx, "load", tar, "--name", d.name); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) open(ctx context.Context) (err error) {
	if d.name == existing {
		if d.lab, err = lab.Existing(os.Getenv("KUBECTL")); err == nil {
			d.gateway = d.lab.ThroughPod("istio-system", "istio=ingressgateway", 8080)
		}
		return err
	}
	d.lab, err = lab.Open(ctx, d.name)
	return err
}

func (d *demo) down(ctx context.Context) error {
	if d.name == existing {
		return d.leave(ctx)
	}
	root, err := lab.Root()
	if err != nil {
		return err
	}
	d.lab = &lab.Lab{Name: d.name, Root: root}
	return d.inOrder(ctx, []stage{
		{"build the cluster's command", d.shell("make", "-s", ".bin/cluster")},
		{"remove the cluster " + d.name, d.shell(".bin/cluster", "down", "--name", d.name)},
	})
}

func (d *demo) kubeconfig(ctx context.Context) error {
	if err := d.open(ctx); err != nil {
		return err
	}
	_, err := fmt.Fprintln(d.out, d.lab.Kubeconfig)
	return err
}
