package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/mesh-operator/mesh-operator/controllers/installation"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/internal/kube"
	"github.com/mesh-operator/mesh-operator/internal/owner"
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
			o.Config, o.Namespace = config, cluster.Namespace
			o.Logger = slog.Default()
			o.Images.BuiltIn = desired.BuiltInImages(os.Getenv)
			return installation.Run(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	cluster.Bind(flags, owner.OperatorNamespace)
	o.Monitoring.Bind(flags)
	flags.BoolVar(&o.LeaderElect, "leader-elect", true, "take part in the election of the replica that reconciles")
	flags.StringVar(&o.Images.Registry, "image-registry", "", "registry of the images of an Installation that names none; empty: the built-in one")
	return cmd
}
