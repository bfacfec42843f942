package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/certfile"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

const secretScheme = "kubernetes://"

// CredentialName is the name of the Secret that TLS settings refer to, in either spelling; "" if they refer to none.
func CredentialName(tls interface{ GetCredentialName() string }) string {
	return strings.TrimPrefix(tls.GetCredentialName(), secretScheme)
}

// ClientUse is a Secret that client-side TLS settings refer to, and what of it they need.
type ClientUse struct {
	Name   string
	Mutual bool // the key pair
	Verify bool // the certificates of authorities
}

// ClientUses lists the Secrets that a rule's policy and subsets refer to, by name.
func ClientUses(policy *networking.TrafficPolicy, subsets []*networking.Subset) []ClientUse {
	uses := map[string]ClientUse{}
	add := func(tls *networking.ClientTLSSettings) {
		if name := CredentialName(tls); name != "" {
			mutual, verify := tls.GetMode() == networking.ClientTLSSettings_MUTUAL, !tls.GetInsecureSkipVerify().GetValue()
			uses[name] = ClientUse{name, uses[name].Mutual || mutual, uses[name].Verify || verify}
		}
	}
	policies := []*networking.TrafficPolicy{policy}
	for _, subset := range subsets {
		policies = append(policies, subset.GetTrafficPolicy())
	}
	for _, p := range policies {
		add(p.GetTls())
		for _, settings := range p.GetPortLevelSettings() {
			add(settings.GetTls())
		}
	}
	return slices.SortedFunc(maps.Values(uses), func(a, b ClientUse) int { return strings.Compare(a.Name, b.Name) })
}

// CASuffix marks the Secret that holds only the certificates which peers are verified with.
const CASuffix = "-cacert"

// maxPEM bounds what is parsed: certificate chains are a few KiB, and parsing is not linear in all that can be written.
const maxPEM = 256 << 10

// updateCredentials reads the Secrets that Gateways and DestinationRules refer to, in whatever namespace the proxy may run.
func (s *Snapshot) updateCredentials(prev *Snapshot) {
	dirty := map[string]bool{}
	for c := range table.Diff(prev.in.Secrets, s.in.Secrets) {
		dirty[c.Key] = true
		_, name, _ := strings.Cut(c.Key, "/")
		s.index.secrets = setIn(s.index.secrets, name, c.Key, true, c.Has)
	}
	for c := range table.Diff(prev.index.secretUsers.Table, s.index.secretUsers.Table) {
		if c.Had != c.Has {
			maps.Insert(dirty, s.index.secrets.Get(c.Key).All())
		}
	}
	for name := range dirty {
		s.guarded("Secret/"+name, func() { s.updateCredential(name) })
	}
}

func (s *Snapshot) updateCredential(name string) {
	s.index.invalid = s.index.invalid.Without("Secret/" + name)
	secret := s.in.Secrets.Get(name)
	if secret == nil || s.index.secretUsers.Get(secret.Name).Empty() {
		s.Credentials = s.Credentials.Without(name)
		return
	}
	c := newCredential(secret)
	if before := s.Credentials.Get(name); before == nil || before.Key != c.Key {
		c.Err = c.check()
		s.Credentials = s.Credentials.With(name, c)
	}
}

// serverSecrets lists the Secrets that a Gateway refers to.
func serverSecrets(g *networking.Gateway) []string {
	var names []string
	for _, server := range g.GetServers() {
		if name := CredentialName(server.GetTls()); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// clientSecrets lists the Secrets that a DestinationRule refers to.
func clientSecrets(d *networking.DestinationRule) []string {
	var names []string
	for _, use := range ClientUses(d.GetTrafficPolicy(), d.GetSubsets()) {
		names = append(names, use.Name)
	}
	return names
}

func newCredential(secret *corev1.Secret) *Credential {
	first := func(keys ...string) []byte {
		for _, k := range keys {
			if v := secret.Data[k]; len(v) > 0 {
				return v
			}
		}
		return nil
	}
	c := &Credential{
		Object:      resource.Object("Secret/" + secret.Namespace + "/" + secret.Name),
		Certificate: first("tls.crt", "cert"), PrivateKey: first("tls.key", "key"), CA: first("ca.crt", "cacert"), Revoked: first("ca.crl", "crl"),
	}
	c.Key = NewHash().Add(secret.Namespace, secret.Name, string(c.Certificate), string(c.PrivateKey), string(c.CA), string(c.Revoked)).Key()
	return c
}

// check says why Envoy could not use the credential. It never repeats what is in it.
func (c *Credential) check() string {
	if len(c.Certificate)+len(c.PrivateKey)+len(c.CA)+len(c.Revoked) > maxPEM {
		return fmt.Sprintf("is larger than %d KiB", maxPEM>>10)
	}
	if len(c.CA) > 0 {
		if err := certfile.CheckAuthorities(c.CA); err != nil {
			return "ca.crt " + err.Error()
		}
	}
	if len(c.Revoked) > 0 {
		if err := certfile.CheckRevoked(c.Revoked); err != nil {
			return "ca.crl " + err.Error()
		}
	}
	if len(c.Certificate) == 0 && len(c.PrivateKey) == 0 && len(c.CA) > 0 {
		return "" // a Secret of verification only
	}
	if len(c.Certificate) == 0 || len(c.PrivateKey) == 0 {
		return "lacks tls.crt or tls.key"
	}
	if err := certfile.CheckPair(c.Certificate, c.PrivateKey); err != nil {
		return "tls.crt and tls.key " + err.Error()
	}
	return ""
}
