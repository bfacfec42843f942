// Command mesh-agent is the data plane's binary: it runs Envoy in a pod (proxy), drains it (proxy drain), captures the
// pod's traffic (redirect), carries connections between add-ons (tunnel), and asks for the password of
// a console (login). Every pod of a mesh runs it, so it links few packages; internal/archtest has the list.
package main

import (
	"github.com/spf13/cobra"

	"github.com/mesh-operator/mesh-operator/internal/command"
)

func main() { command.Main(newRootCommand()) }

func newRootCommand() *cobra.Command {
	root := command.Root("mesh-agent", "Run and drain the proxy of a pod, and capture the pod's traffic", newProxyCommand(), newRedirectCommand(), newTunnelCommand(), newLoginCommand())
	root.CompletionOptions.DisableDefaultCmd = true
	return root
}
