package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/client-go/dynamic"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/cmd/meshctl/check"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

func newVersionCommand(s streams) *cobra.Command {
	var kubeconfig string
	var remote bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and with --remote those in the cluster",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintln(s.out, version.Line("meshctl"))
			if !remote {
				return nil
			}
			return remoteVersion(cmd.Context(), kubeconfig, s.out)
		},
	}
	cmd.Flags().BoolVar(&remote, "remote", false, "print the versions of the operator and the control plane too")
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig; default: $KUBECONFIG, then ~/.kube/config")
	return cmd
}

func remoteVersion(ctx context.Context, kubeconfig string, to io.Writer) error {
	config, client, err := connect(kubeconfig)
	if err != nil {
		return err
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a Kubernetes client: %w", err)
	}
	facts, err := check.Gather(ctx, client, dyn)
	if err != nil {
		return err
	}
	if facts.Installation == nil {
		return hint(fmt.Errorf("there is no Installation in the cluster"), "meshctl check says what is missing")
	}
	_, err = io.WriteString(to, versionLines(&facts.Installation.Status))
	return err
}

// versionLines are the versions of what runs in the cluster, one a line.
func versionLines(status *v1alpha1.InstallationStatus) string {
	out := ""
	if v := status.Version; v != nil {
		out += fmt.Sprintf("operator %s\n", v.Operator)
		switch {
		case v.Current == "":
			out += fmt.Sprintf("control plane %s, being installed\n", v.Desired)
		case v.Current != v.Desired:
			out += fmt.Sprintf("control plane %s, being updated to %s\n", v.Current, v.Desired)
		default:
			out += fmt.Sprintf("control plane %s\n", v.Current)
		}
	}
	if d := status.DataPlane; d != nil {
		out += fmt.Sprintf("data plane %d proxies, %d of them outdated\n", d.Proxies, d.Outdated)
	}
	return out
}
