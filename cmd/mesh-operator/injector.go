package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"

	"github.com/mesh-operator/mesh-operator/injector"
	"github.com/mesh-operator/mesh-operator/internal/kube"
)

func newInjectorCommand() *cobra.Command {
	var cluster kube.Flags
	var o injector.Options
	cmd := &cobra.Command{
		Use:   "injector",
		Short: "Run the webhook that adds the proxy to pods",
		Long: "Run the webhook that adds the proxy to pods when they are created, as the namespace's label, the pod's label or its\n" +
			"annotation asks. The configuration is read again whenever its files change.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := cluster.Config("istio-sidecar-injector")
			if err != nil {
				return err
			}
			if o.Client, err = metadata.NewForConfig(config); err != nil {
				return fmt.Errorf("make API client: %w", err)
			}
			if o.Events, err = corev1client.NewForConfig(config); err != nil {
				return fmt.Errorf("make API client for Events: %w", err)
			}
			o.Logger = slog.Default()
			o.Monitoring.CheckAPI = cluster.CheckAPI
			return injector.Run(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	cluster.BindMesh(flags)
	o.Monitoring.Bind(flags)
	bindIdentity(flags, &o.Identity)
	flags.StringVar(&o.Address, "webhook-address", ":9443", "address of the webhook")
	flags.StringVar(&o.ConfigFile, "config-file", "/etc/istio/inject/config", "policy and template of the injection")
	flags.StringVar(&o.ValuesFile, "values-file", "/etc/istio/inject/values", "values that the template is rendered with")
	return cmd
}
