package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/mesh-operator/mesh-operator/mixer/telemetry"
)

func newTelemetryCommand() *cobra.Command {
	var o telemetry.Options
	var mebibytes int
	cmd := &cobra.Command{
		Use:   "telemetry",
		Short: "Take the access logs of proxies and keep the last entries",
		Long: "Take the access logs of proxies over OpenTelemetry's protocol with mutual TLS, and keep the last entries of each workload in\n" +
			"memory. A proxy proves with its certificate which workload it belongs to. /debug/logs and /debug/upstreams of\n" +
			"--debug-address answer what was logged and where workloads send traffic; meshctl logs reads them.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Logger, o.Limits.Bytes = slog.Default(), mebibytes<<20
			return telemetry.Run(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	o.Monitoring.Bind(flags)
	bindIdentity(flags, &o.Identity)
	flags.StringVar(&o.Address, "grpc-address", ":15004", "address for proxies with certificates")
	flags.IntVar(&o.Limits.PerWorkload, "log-entries", 1000, "entries of each workload that are kept")
	flags.IntVar(&mebibytes, "log-memory", 64, "MiB of all entries that are kept")
	return cmd
}
