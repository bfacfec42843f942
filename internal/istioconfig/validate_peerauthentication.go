package istioconfig

import (
	"fmt"
	"maps"
	"slices"

	security "istio.io/api/security/v1beta1"
)

func (c *checker) peerAuthentication(p *security.PeerAuthentication) {
	selector := p.GetSelector().GetMatchLabels()
	c.labels("spec.selector.matchLabels", selector)
	for _, port := range slices.Sorted(maps.Keys(p.GetPortLevelMtls())) {
		c.portNumber(fmt.Sprintf("spec.portLevelMtls[%d]", port), port)
	}
	if len(p.GetPortLevelMtls()) > 0 && len(selector) == 0 {
		c.add("spec.portLevelMtls", "needs a selector: ports belong to workloads", "add selector: {matchLabels: ...}")
	}
}
