// Package command is the frame that the binaries for clusters share: a root command with --log-level and version, ended by a signal.
package command

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

// Main runs the command until it ends or a signal (SIGINT, SIGTERM) ends its context, and exits with 1 after an error.
func Main(root *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, root.Name()+": error:", err)
		stop()
		os.Exit(1)
	}
}

// Root returns the command of a binary with its subcommands.
func Root(name, short string, subcommands ...*cobra.Command) *cobra.Command {
	var level string
	root := &cobra.Command{
		Use:           name,
		Short:         short,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return setLogLevel(level)
		},
	}
	root.PersistentFlags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	root.AddCommand(subcommands...)
	root.AddCommand(&cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), version.Line(name))
		},
	})
	return root
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
