package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/mesh-operator/mesh-operator/controllers/installation"
	"github.com/mesh-operator/mesh-operator/internal/kube"
	"github.com/mesh-operator/mesh-operator/internal/owner"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

func newOperatorCommand() *cobra.Command {
	var cluster kube.Flags
	var o installation.Options
	cmd := &cobra.Command{
		Use:   "operator",
		Short: "Install, repair and remove the mesh that the Installation describes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := cluster.Config("istio-operator")
			if err != nil {
				return err
			}
			o.Config = config
			o.Logger = slog.Default()
			o.Images.BuiltIn = installation.Images{
				Operator: env("RELATED_IMAGE_MESH_OPERATOR", "quay.io/mesh-operator/mesh-operator:"+version.Version),
				Proxy:    env("RELATED_IMAGE_PROXYV2", "quay.io/mesh-operator/proxyv2:"+version.Version),
			}
			return installation.Run(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	cluster.Bind(flags, owner.OperatorNamespace)
	o.Monitoring.Bind(flags)
	flags.BoolVar(&o.LeaderElect, "leader-elect", true, "take part in the election of the replica that works")
	flags.StringVar(&o.Images.Registry, "image-registry", "", "registry of images that an Installation says nothing about; empty: the built-in one")
	return cmd
}

func env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}
