package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/mesh-operator/mesh-operator/galley"
)

func newGalleyCommand() *cobra.Command {
	var o galley.Options
	cmd := &cobra.Command{
		Use:   "galley",
		Short: "Run the webhook that checks Istio configuration",
		Long: "Run the webhook that checks Istio configuration when it is created or changed: what the control plane cannot use, or\n" +
			"does not support yet, is refused with the field, the reason and the way out.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Logger = slog.Default()
			return galley.Run(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	o.Monitoring.Bind(flags)
	bindIdentity(flags, &o.Identity)
	flags.StringVar(&o.Address, "webhook-address", ":9443", "address of the webhook")
	return cmd
}
