// Command mesh-operator is the control plane in one binary: each role is a subcommand, and one image runs them all. The data
// plane has its own binary, cmd/mesh-agent.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mesh-operator/mesh-operator/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mesh-operator: error:", err)
		stop()
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	var level string
	root := &cobra.Command{
		Use:           "mesh-operator",
		Short:         "Install and run an Istio-compatible service mesh",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return setLogLevel(level)
		},
	}
	root.PersistentFlags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	root.AddCommand(newCitadelCommand(), newGalleyCommand(), newInjectorCommand(), newPilotCommand(), newOperatorCommand(), newVersionCommand())
	return root
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), version.Line("mesh-operator"))
		},
	}
}

// setLogLevel makes the default logger write text lines (time=... level=... msg=...) to standard error.
func setLogLevel(name string) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return fmt.Errorf("parse --log-level %q: use debug, info, warn or error", name)
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	return nil
}
