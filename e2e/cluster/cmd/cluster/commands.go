package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mesh-operator/mesh-operator/e2e/cluster"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/node"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

// verb is a command without arguments that works on a cluster; find makes it from the flags.
func verb(use, short string, find func(*cobra.Command) (*cluster.Cluster, error), run func(*cobra.Command, *cluster.Cluster) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		c, err := find(cmd)
		if err != nil {
			return err
		}
		return run(cmd, c)
	}}
}

func newUpCommand(f *flags) *cobra.Command {
	return verb("up", "Start the cluster, clearing first what a killed one left; nothing to do when it runs", f.withSource,
		func(cmd *cobra.Command, c *cluster.Cluster) error { return c.Up(cmd.Context()) })
}

func newDownCommand(f *flags) *cobra.Command {
	return verb("down", "Remove the cluster with all its processes, namespaces, control groups and files", f.cluster,
		func(cmd *cobra.Command, c *cluster.Cluster) error { return c.Down(cmd.Context()) })
}

func newFetchCommand(f *flags) *cobra.Command {
	return verb("fetch", "Download and build what a cluster is made of, and start nothing", f.withSource,
		func(cmd *cobra.Command, c *cluster.Cluster) error {
			found, err := c.Fetch(cmd.Context())
			if err != nil {
				return err
			}
			for _, p := range append([]string{found.Kube, found.CoreDNS, found.Pause, found.Debian}, found.Packages...) {
				fmt.Fprintln(cmd.OutOrStdout(), p)
			}
			return nil
		})
}

func newLoadCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "load IMAGE.tar...",
		Short: "Import image archives into the cluster, unless their content is there already",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, archives []string) error {
			c, err := f.cluster(cmd)
			if err != nil {
				return err
			}
			for _, archive := range archives {
				if err := c.Load(cmd.Context(), archive); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func newKubeconfigCommand(f *flags) *cobra.Command {
	return verb("kubeconfig", "Print the path of a kubeconfig that works from the host", f.cluster,
		func(cmd *cobra.Command, c *cluster.Cluster) error {
			if _, err := os.Stat(c.Layout.Kubeconfig()); err != nil {
				return fmt.Errorf("print kubeconfig: cluster %s is not up", f.name)
			}
			fmt.Fprintln(cmd.OutOrStdout(), c.Layout.Kubeconfig())
			return nil
		})
}

func newURLsCommand(f *flags) *cobra.Command {
	return verb("urls", "Print the addresses on 127.0.0.1 that lead to Services: NAMESPACE/SERVICE/PORT URL", f.cluster,
		func(cmd *cobra.Command, c *cluster.Cluster) error {
			s, err := c.State()
			if err != nil {
				return err
			}
			for _, u := range s.URLs {
				fmt.Fprintln(cmd.OutOrStdout(), u.Name, u.URL)
			}
			return nil
		})
}

func newStatusCommand(f *flags) *cobra.Command {
	return verb("status", "Show how the cluster stands and where its files are; fails when it is not ready", f.cluster,
		func(cmd *cobra.Command, c *cluster.Cluster) error {
			s, err := c.State()
			if err != nil {
				return err
			}
			return printStatus(cmd, c, s)
		})
}

func printStatus(cmd *cobra.Command, c *cluster.Cluster, s state.State) error {
	if s.Phase == "" {
		return fmt.Errorf("cluster %s is not up", c.Name)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"name", c.Name}, {"phase", string(s.Phase)}, {"api server", s.APIServer}, {"registry", s.Registry + " (localhost:5000 on the node)"}, {"kubeconfig", c.Layout.Kubeconfig()},
		{"audit log", c.Layout.Audit()}, {"logs", c.Layout.Logs()}, {"dns hosts", c.Layout.Hosts()},
		{"network", s.Network}, {"control group", c.GroupName()},
	} {
		fmt.Fprintf(w, "%s\t%s\n", line[0], line[1])
	}
	fmt.Fprintf(w, "\nCOMPONENT\tPID\tREADY\tRESTARTS\n")
	for _, p := range s.Components {
		fmt.Fprintf(w, "%s\t%d\t%t\t%d\n", p.Name, p.PID, p.Ready, p.Restarts)
	}
	w.Flush()
	switch {
	case s.Failure != nil:
		return fmt.Errorf("%s failed: %s (log: %s)", s.Failure.Component, s.Failure.Reason, s.Failure.Log)
	case s.Phase != state.Ready:
		return fmt.Errorf("cluster %s is %s", c.Name, s.Phase)
	}
	return nil
}

func newKubectlCommand(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use:   "kubectl [--name NAME] ARGUMENTS...",
		Short: "Run the cluster's own kubectl",
		RunE:  func(cmd *cobra.Command, arguments []string) error { return runKubectl(f, cmd, arguments) },
	}
	c.Flags().SetInterspersed(false) // what follows kubectl's verb is kubectl's
	return c
}

func runKubectl(f *flags, cmd *cobra.Command, arguments []string) error {
	c, err := f.cluster(cmd)
	if err != nil {
		return err
	}
	kubectl, err := c.Kubectl(arguments...)
	if err != nil {
		return err
	}
	kubectl.Stdin, kubectl.Stdout, kubectl.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = kubectl.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(exit.ExitCode()) // kubectl has said why
	}
	return err
}

func newDaemonCommand(f *flags) *cobra.Command {
	c := verb(cluster.DaemonCommand, "Run a cluster in the foreground; started by up", f.cluster,
		func(cmd *cobra.Command, c *cluster.Cluster) error {
			log := slog.New(slog.NewTextHandler(os.Stderr, nil))
			return node.Run(cmd.Context(), c.Layout, c.GroupName(), log)
		})
	c.Hidden = true
	return c
}

func defaultCache() string {
	if cache := os.Getenv("MESH_CACHE"); cache != "" {
		return cache
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/root"
	}
	return filepath.Join(home, ".cache", "mesh-operator")
}

// findSource looks for this module above the program and above the working folder.
func findSource() (string, error) {
	var starts []string
	if self, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(self))
	}
	if work, err := os.Getwd(); err == nil {
		starts = append(starts, work)
	}
	for _, start := range starts {
		for dir := start; ; dir = filepath.Dir(dir) {
			for _, candidate := range []string{dir, filepath.Join(dir, "e2e", "cluster")} {
				if _, err := os.Stat(filepath.Join(candidate, "kube", "go.mod")); err == nil {
					return candidate, nil
				}
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", errors.New("find this module's folder: use --source")
}
