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
	if s.in.Secrets == prev.in.Secrets && s.Gateways == prev.Gateways && s.Rules == prev.Rules {
		return
	}
	for c := range table.Diff(prev.in.Secrets, s.in.Secrets) {
		s.index.faulty = s.index.faulty.Without("Secret/" + c.Key)
	}
	wanted := s.wantedSecrets()
	for name := range prev.Credentials.All() {
		if secret := s.in.Secrets.Get(name); secret == nil || !wanted[secret.Name] {
			s.Credentials = s.Credentials.Without(name)
		}
	}
	for name, secret := range s.in.Secrets.All() {
		if wanted[secret.Name] {
			s.guarded("Secret/"+name, func() { s.updateCredential(name, secret) })
		}
	}
}

func (s *Snapshot) updateCredential(name string, secret *corev1.Secret) {
	c := newCredential(secret)
	if before := s.Credentials.Get(name); before == nil || before.Key != c.Key {
		c.Err = c.check()
		s.Credentials = s.Credentials.With(name, c)
	}
}

func (s *Snapshot) wantedSecrets() map[string]bool {
	wanted := map[string]bool{}
	for g := range s.Gateways.Values() {
		for _, server := range g.Spec.GetServers() {
			if name := CredentialName(server.GetTls()); name != "" {
				wanted[name], wanted[name+CASuffix] = true, true
			}
		}
	}
	for r := range s.Rules.Values() {
		for _, use := range ClientUses(r.Spec.GetTrafficPolicy(), r.Spec.GetSubsets()) {
			wanted[use.Name], wanted[use.Name+CASuffix] = true, true
		}
	}
	return wanted
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
	if len(c.CA) > 0 && certfile.CheckAuthorities(c.CA) != nil {
		return "ca.crt is not a list of PEM certificates"
	}
	if len(c.Revoked) > 0 && certfile.CheckRevoked(c.Revoked) != nil {
		return "ca.crl is not a list of PEM revocation lists"
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
