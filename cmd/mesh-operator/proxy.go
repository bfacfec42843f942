package main

import (
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
	"github.com/mesh-operator/mesh-operator/proxy/agent"
)

func newProxyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Run Envoy and what it needs, in a sidecar or a gateway",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(
		newProxyRunCommand(agent.Sidecar, "Run the proxy of an application's pod"),
		newProxyRunCommand(agent.Router, "Run the proxy of a gateway"),
		newProxyDrainCommand(),
	)
	return cmd
}

func newProxyRunCommand(role agent.Role, short string) *cobra.Command {
	var token, root, labels string
	cmd := &cobra.Command{
		Use:   string(role),
		Short: short,
		Long:  short + ". What it is told about its pod comes in environment variables; see package proxy/agent.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := agent.Environment(role, os.Getenv)
			if err != nil {
				return err
			}
			if config, err = agent.ReadPodFiles(config, labels); err != nil {
				return err
			}
			syscall.Umask(0o077) // what this process writes is for its own user and Envoy, which has the same
			return agent.Run(cmd.Context(), agent.Options{
				Config:       config,
				Certificates: certclient.Options{Address: config.CAAddress, TokenFile: token, RootFile: root, Logger: slog.Default()},
				Logger:       slog.Default(),
			})
		},
	}
	cmd.Flags().StringVar(&token, "token-file", certclient.DefaultTokenFile, "service account token that proves to the CA who asks")
	cmd.Flags().StringVar(&root, "root-file", certclient.DefaultRootFile, "trust bundle that the CA and pilot are verified against")
	cmd.Flags().StringVar(&labels, "labels-file", agent.DefaultLabels, "the pod's labels, as the downward API writes them")
	return cmd
}

func newProxyDrainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "drain",
		Short: "Ask the proxy of this pod to drain, and wait until it has (preStop hook)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := agent.Drain(cmd.Context(), agent.DefaultPorts.Drain); err != nil {
				return fmt.Errorf("proxy drain: %w", err)
			}
			return nil
		},
	}
}
