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
		Short: "Run Envoy in a sidecar or a gateway",
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
	var token, root, labels, dir string
	cmd := &cobra.Command{
		Use:   string(role),
		Short: short,
		Long:  short + ". Environment variables have the configuration of the pod; see package proxy/agent.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := agent.Environment(role, os.Getenv)
			if err != nil {
				return err
			}
			if config, err = agent.ReadPodFiles(config, labels); err != nil {
				return err
			}
			config.Dir = dir
			syscall.Umask(0o077) // only this user, which is Envoy's too, may read the files of this process
			return agent.Run(cmd.Context(), agent.Options{
				Config:       config,
				Certificates: certclient.Options{Address: config.CAAddress, TokenFile: token, RootFile: root, Logger: slog.Default()},
				Logger:       slog.Default(),
			})
		},
	}
	cmd.Flags().StringVar(&token, "token-file", certclient.DefaultTokenFile, "service account token for the CA")
	cmd.Flags().StringVar(&root, "root-file", certclient.DefaultRootFile, "trust bundle for the certificates of the CA and of pilot")
	cmd.Flags().StringVar(&labels, "labels-file", agent.DefaultLabels, "labels of the pod, in the format of the downward API")
	cmd.Flags().StringVar(&dir, "dir", agent.DefaultDir, "folder of the bootstrap and of the sockets for Envoy")
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
