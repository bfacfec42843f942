package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/proxy/redirect"
)

// redirectFlags are the values of the flags; parse parses the lists.
type redirectFlags struct {
	config redirect.Config
	dryRun bool

	includeInbound, excludeInbound             string
	includeOutbound, excludeOutbound           string
	includeOutboundPorts, excludeOutboundPorts string
}

func newRedirectCommand() *cobra.Command {
	var f redirectFlags
	cmd := &cobra.Command{
		Use:   "redirect",
		Short: "Redirect this pod's TCP traffic to its proxy",
		Long: "Redirect this pod's TCP traffic to its proxy: write the table inet mesh of nftables into the pod's network\n" +
			"namespace, for IPv4 and IPv6. Runs as the init container istio-init; running it again changes nothing.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.Uint16Var(&f.config.InboundPort, "inbound-capture-port", 15006, "port of the proxy for inbound traffic")
	flags.Uint16Var(&f.config.OutboundPort, "outbound-capture-port", 15001, "port of the proxy for outbound traffic")
	flags.Uint32Var(&f.config.ProxyUID, "proxy-uid", 1337, "user of the proxy, whose connections are not captured")
	flags.Uint32Var(&f.config.ProxyGID, "proxy-gid", 1337, "group of the proxy, whose connections are not captured")
	flags.StringVar(&f.includeInbound, "include-inbound-ports", "*", "ports to capture, as in 8080,9000-9100; * is all, empty none")
	flags.StringVar(&f.excludeInbound, "exclude-inbound-ports", names.NeverCaptured, "ports not to capture")
	flags.StringVar(&f.includeOutbound, "include-outbound-ranges", "*", "addresses to capture, as in 10.0.0.0/8,fd00::/8; * is all, empty none")
	flags.StringVar(&f.excludeOutbound, "exclude-outbound-ranges", "", "addresses not to capture")
	flags.StringVar(&f.includeOutboundPorts, "include-outbound-ports", "", "ports to capture whatever the address")
	flags.StringVar(&f.excludeOutboundPorts, "exclude-outbound-ports", "", "ports not to capture whatever the address")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print the table and change nothing")
	return cmd
}

func (f *redirectFlags) run(cmd *cobra.Command) error {
	config, err := f.parse()
	if err != nil {
		return err
	}
	table := redirect.Rules(config)
	if f.dryRun {
		_, err := fmt.Fprint(cmd.OutOrStdout(), table)
		return err
	}
	ipv6, err := redirect.AddInboundSource6()
	if err != nil {
		return err
	}
	if err := redirect.Apply(table); err != nil {
		return err
	}
	slog.Info("traffic is redirected to the proxy", "inbound", config.InboundPort, "outbound", config.OutboundPort, "ipv6", ipv6)
	return nil
}

// parse reports every invalid flag.
func (f *redirectFlags) parse() (redirect.Config, error) {
	c := f.config
	var errs []error
	flag := func(name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", name, err))
		}
	}
	ports := func(name, value string, into *redirect.Ports) {
		var err error
		*into, err = redirect.ParsePorts(value)
		flag(name, err)
	}
	ranges := func(name, value string, into *redirect.Ranges) {
		var err error
		*into, err = redirect.ParseRanges(value)
		flag(name, err)
	}
	ports("include-inbound-ports", f.includeInbound, &c.IncludeInbound)
	ports("exclude-inbound-ports", f.excludeInbound, &c.ExcludeInbound)
	ranges("include-outbound-ranges", f.includeOutbound, &c.IncludeOutbound)
	ranges("exclude-outbound-ranges", f.excludeOutbound, &c.ExcludeOutbound)
	ports("include-outbound-ports", f.includeOutboundPorts, &c.IncludeOutboundPorts)
	ports("exclude-outbound-ports", f.excludeOutboundPorts, &c.ExcludeOutboundPorts)
	return c, errors.Join(append(errs, c.Validate())...)
}
