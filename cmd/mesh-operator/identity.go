package main

import (
	"github.com/spf13/pflag"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
)

// bindIdentity adds the flags of a role that gets its serving certificate from citadel.
func bindIdentity(flags *pflag.FlagSet, o *certclient.Options) {
	flags.StringVar(&o.Address, "ca-address", certclient.DefaultAddress, "address of the certificate service")
	flags.StringVar(&o.ServerName, "ca-server-name", "", "DNS name in the certificate service's certificate; empty: the host of --ca-address")
	flags.StringVar(&o.TokenFile, "token-file", certclient.DefaultTokenFile, "service account token for the certificate service")
	flags.StringVar(&o.RootFile, "root-file", certclient.DefaultRootFile, "trust bundle of the mesh")
}
