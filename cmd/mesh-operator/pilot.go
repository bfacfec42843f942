package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/mesh-operator/mesh-operator/internal/kube"
	"github.com/mesh-operator/mesh-operator/xds"
	"github.com/mesh-operator/mesh-operator/xds/source"
)

func newPilotCommand() *cobra.Command {
	var cluster kube.Flags
	var o xds.Options
	cmd := &cobra.Command{
		Use:   "pilot",
		Short: "Configure the proxies of the mesh",
		Long: "Configure the proxies of the mesh: pilot watches Services, pods and Istio's configuration and streams to each proxy what\n" +
			"it needs of them. A proxy proves with its certificate which pod it belongs to.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := cluster.Config("istio-pilot")
			if err != nil {
				return err
			}
			if o.Kubernetes, o.Dynamic, err = source.Clients(config); err != nil {
				return err
			}
			o.MeshNamespace = cluster.Namespace
			o.Logger = slog.Default()
			o.Monitoring.CheckAPI = cluster.CheckAPI
			o.Certificates.Logger = o.Logger
			return xds.Run(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	cluster.BindMesh(flags)
	o.Monitoring.Bind(flags)
	bindIdentity(flags, &o.Certificates)
	flags.StringVar(&o.GRPCAddress, "grpc-address", ":15011", "address for proxies with certificates; empty: none")
	flags.StringVar(&o.InsecureAddress, "insecure-grpc-addr", "", "loopback address for proxies without certificates, for development; empty: none")
	return cmd
}
