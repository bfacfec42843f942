package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/dynamic"

	"github.com/mesh-operator/mesh-operator/cmd/meshctl/check"
)

// checkCommand is the command's input.
type checkCommand struct {
	streams
	kubeconfig string
	before     bool
	output     string
	timeout    time.Duration
}

func newCheckCommand(s streams) *cobra.Command {
	c := &checkCommand{streams: s}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find what keeps the mesh from working",
		Long: "Find what keeps the mesh from working, or with --pre from being installed. Each finding has a remedy and a page of the\n" +
			"documentation. The exit code is 1 when there is an error; warnings alone do not change it.\n\n" +
			"Nothing is changed. What you may not read is a warning.",
		Example: "  meshctl check --pre\n  meshctl check\n  meshctl check -o json | jq '.[] | select(.level != \"ok\")'",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig; default: $KUBECONFIG, then ~/.kube/config")
	flags.BoolVar(&c.before, "pre", false, "check a cluster before the operator is installed")
	flags.StringVarP(&c.output, "output", "o", "text", "text or json: a list of findings")
	flags.DurationVar(&c.timeout, "timeout", time.Minute, "how long the checks may take")
	return cmd
}

func (c *checkCommand) run(ctx context.Context) error {
	if !slices.Contains([]string{"text", "json"}, c.output) {
		return hint(fmt.Errorf("unknown output %q", c.output), "write -o text or -o json")
	}
	config, client, err := connect(c.kubeconfig)
	if err != nil {
		return err
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a Kubernetes client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	facts, err := check.Gather(ctx, client, dyn)
	if err != nil {
		return err
	}
	findings := check.After(facts)
	if c.before {
		findings = check.Before(facts)
	}
	if err := printFindings(c.out, c.output, findings); err != nil {
		return err
	}
	if check.Worst(findings) == check.Error {
		return hint(fmt.Errorf("%d of %d checks failed", count(findings, check.Error), len(findings)), "each error above has a remedy")
	}
	return nil
}

func count(findings []check.Finding, level check.Level) int {
	return len(slices.DeleteFunc(slices.Clone(findings), func(f check.Finding) bool { return f.Level != level }))
}

// marks begin a line.
var marks = map[check.Level]string{check.OK: "✓", check.Warning: "!", check.Error: "✗"}

func printFindings(to io.Writer, output string, findings []check.Finding) error {
	if output == "json" {
		text, err := json.MarshalIndent(findings, "", "  ")
		if err != nil {
			return fmt.Errorf("encode findings: %w", err)
		}
		_, err = fmt.Fprintln(to, string(text))
		return err
	}
	var out strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&out, "%s %s: %s\n", marks[f.Level], f.Check, f.Message)
		if f.Level != check.OK {
			fmt.Fprintf(&out, "    %s\n    %s\n", f.Remedy, f.Docs)
		}
	}
	_, err := io.WriteString(to, out.String())
	return err
}
