package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"

	"github.com/mesh-operator/mesh-operator/ca"
	"github.com/mesh-operator/mesh-operator/internal/kube"
)

func newCitadelCommand() *cobra.Command {
	var cluster kube.Flags
	var o ca.Options
	cmd := &cobra.Command{
		Use:   "citadel",
		Short: "Run the certificate authority of the mesh",
		Long: "Run the certificate authority of the mesh: it keeps the root, publishes the trust bundle to every namespace and issues\n" +
			"certificates to workloads that prove who they are with a service account token for the audience istio-ca.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := cluster.Config("istio-citadel")
			if err != nil {
				return err
			}
			if o.Client, err = kubernetes.NewForConfig(config); err != nil {
				return fmt.Errorf("make API client: %w", err)
			}
			if o.ReviewClient, err = kubernetes.NewForConfig(kube.Unlimited(config)); err != nil {
				return fmt.Errorf("make API client for questions about callers: %w", err)
			}
			o.Namespace = cluster.Namespace
			o.Logger = slog.Default()
			o.Monitoring.CheckAPI = cluster.CheckAPI
			return ca.Run(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	cluster.BindMesh(flags)
	o.Monitoring.Bind(flags)
	const day = 24 * time.Hour
	flags.StringVar(&o.GRPCAddress, "grpc-address", ":8060", "address of the certificate service")
	flags.StringVar(&o.ServerName, "server-name", "istio-citadel.istio-system.svc", "DNS name by which clients verify this server")
	flags.StringVar(&o.TrustDomain, "trust-domain", "cluster.local", "trust domain of the identities in certificates")
	flags.DurationVar(&o.WorkloadTTL, "workload-cert-ttl", day, "longest lifetime of a certificate, and that of a request that names none")
	flags.DurationVar(&o.RootTTL, "root-cert-ttl", 3650*day, "lifetime of a root that is made here")
	return cmd
}
