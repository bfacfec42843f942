package scope

import (
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// ClientCredential is what a router proves itself with to a service outside of the mesh, from a Secret of its own namespace.
type ClientCredential struct {
	mesh.ClientUse
	Pair *mesh.Credential // nil: there is no such Secret
	CA   *mesh.Credential // of its name with mesh.CASuffix
}

// clientCredentials finds the Secrets that the rule for a service refers to. Only a router's view has them.
func clientCredentials(snapshot *mesh.Snapshot, namespace string, rule *Rule) []ClientCredential {
	if rule == nil {
		return nil
	}
	var list []ClientCredential
	for _, use := range mesh.ClientUses(rule.Policy, rule.Subsets) {
		list = append(list, ClientCredential{
			ClientUse: use,
			Pair:      snapshot.Credential(namespace, use.Name),
			CA:        snapshot.Credential(namespace, use.Name+mesh.CASuffix),
		})
	}
	return list
}

// routerViewKey is viewKey with what distinguishes the views of two routers by their Secrets.
func routerViewKey(namespace string, s *Service) string {
	h := mesh.NewHash().Add(viewKey(s))
	for _, c := range s.Credentials {
		h.Add("credential", namespace, c.Name)
		for _, x := range []*mesh.Credential{c.Pair, c.CA} {
			if h.Bool(x != nil); x != nil {
				h.Add(x.Key)
			}
		}
	}
	return h.Key()
}
