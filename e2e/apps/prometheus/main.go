// Command prometheus runs Debian's Prometheus, which is compiled without its discovery of Kubernetes, as if it had it: it takes the
// place of the program in the local image, finds pods by itself, and gives them to Prometheus as files with the labels of
// https://prometheus.io/docs/prometheus/2.42/configuration/configuration/#pod. The configuration is the one of real clusters.
//
// Only role pod and namespaces.names are there. All arguments are passed on; files go below --storage.tsdb.path.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const program = "/usr/bin/prometheus"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		os.Exit(exit.ExitCode())
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "prometheus: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	dir := filepath.Join(option(args, "--storage.tsdb.path"), "discovery")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := os.ReadFile(option(args, "--config.file"))
	if err != nil {
		return err
	}
	text, jobs, err := rewrite(text, dir)
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return err
	}
	if err := discover(ctx, jobs); err != nil {
		return err
	}
	for i := range args {
		if strings.HasPrefix(args[i], "--config.file=") {
			args[i] = "--config.file=" + config
		}
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd.Run()
}

func option(args []string, name string) string {
	for _, arg := range args {
		if key, value, _ := strings.Cut(arg, "="); key == name {
			return value
		}
	}
	return ""
}

// discover writes the targets of each job now and after every change of a pod.
func discover(ctx context.Context, jobs []job) error {
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods()
	changed := make(chan struct{}, 1)
	if _, err := pods.Informer().AddEventHandler(onChange(changed)); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go write(ctx, pods.Lister(), jobs, changed)
	return nil
}
