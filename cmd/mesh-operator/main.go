// Command mesh-operator is the control plane in one binary: each role is a subcommand, and one image runs them all. The data
// plane has its own binary, cmd/mesh-agent.
package main

import (
	"github.com/spf13/cobra"

	"github.com/mesh-operator/mesh-operator/internal/command"
)

func main() { command.Main(newRootCommand()) }

func newRootCommand() *cobra.Command {
	return command.Root("mesh-operator", "Install and run an Istio-compatible service mesh",
		newCitadelCommand(), newGalleyCommand(), newInjectorCommand(), newPilotCommand(), newTelemetryCommand(), newOperatorCommand())
}
