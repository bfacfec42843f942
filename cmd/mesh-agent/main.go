// Command mesh-agent is the data plane's binary: it runs Envoy in a pod (proxy), drains it (proxy drain), and captures the
// pod's traffic (redirect). Every pod of a mesh runs it, so it links few packages; internal/archtest has the list.
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
		fmt.Fprintln(os.Stderr, "mesh-agent: error:", err)
		stop()
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	var level string
	root := &cobra.Command{
		Use:           "mesh-agent",
		Short:         "Run and drain the proxy of a pod, and capture the pod's traffic",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return setLogLevel(level)
		},
	}
	root.PersistentFlags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newProxyCommand(), newRedirectCommand(), newVersionCommand())
	return root
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), version.Line("mesh-agent"))
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
