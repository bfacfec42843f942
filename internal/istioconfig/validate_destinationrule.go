package istioconfig

import (
	"fmt"
	"time"

	networking "istio.io/api/networking/v1alpha3"
)

// policy is what a TrafficPolicy and its settings for one port have in common.
type policy interface {
	GetConnectionPool() *networking.ConnectionPoolSettings
	GetOutlierDetection() *networking.OutlierDetection
	GetTls() *networking.ClientTLSSettings
}

func (c *checker) destinationRule(dr *networking.DestinationRule) {
	if !c.destinationRuleLimits(dr) {
		return
	}
	c.host("spec.host", dr.GetHost(), true)
	c.trafficPolicy("spec.trafficPolicy", dr.GetHost(), dr.GetTrafficPolicy())
	names := map[string]bool{}
	for i, s := range dr.GetSubsets() {
		path := fmt.Sprintf("spec.subsets[%d]", i)
		c.subset(path+".name", s.GetName())
		if names[s.GetName()] {
			c.addf(path+".name", "%q is there twice", s.GetName())
		}
		names[s.GetName()] = true
		c.labels(path+".labels", s.GetLabels())
		c.trafficPolicy(path+".trafficPolicy", dr.GetHost(), s.GetTrafficPolicy())
	}
	c.exportTo(dr.GetExportTo())
}

func (c *checker) trafficPolicy(path, host string, p *networking.TrafficPolicy) {
	c.policy(path, host, p)
	ports := map[uint32]bool{}
	for i, settings := range p.GetPortLevelSettings() {
		field := fmt.Sprintf("%s.portLevelSettings[%d]", path, i)
		number := settings.GetPort().GetNumber()
		c.portNumber(field+".port.number", number)
		if ports[number] {
			c.addf(field+".port.number", "%d is there twice", number)
		}
		ports[number] = true
		c.policy(field, host, settings)
	}
}

func (c *checker) policy(path, host string, p policy) {
	c.tcpPool(path+".connectionPool.tcp", p.GetConnectionPool().GetTcp())
	c.httpPool(path+".connectionPool.http", p.GetConnectionPool().GetHttp())
	c.outlierDetection(path+".outlierDetection", p.GetOutlierDetection())
	c.clientTLS(path+".tls", host, p.GetTls())
}

func (c *checker) tcpPool(path string, p *networking.ConnectionPoolSettings_TCPSettings) {
	c.notNegative(path+".maxConnections", p.GetMaxConnections())
	c.duration(path+".connectTimeout", p.GetConnectTimeout(), time.Millisecond)
	keepalive := p.GetTcpKeepalive()
	c.duration(path+".tcpKeepalive.time", keepalive.GetTime(), time.Second)
	c.duration(path+".tcpKeepalive.interval", keepalive.GetInterval(), time.Second)
}

func (c *checker) httpPool(path string, p *networking.ConnectionPoolSettings_HTTPSettings) {
	c.notNegative(path+".http1MaxPendingRequests", p.GetHttp1MaxPendingRequests())
	c.notNegative(path+".http2MaxRequests", p.GetHttp2MaxRequests())
	c.notNegative(path+".maxRequestsPerConnection", p.GetMaxRequestsPerConnection())
	c.notNegative(path+".maxRetries", p.GetMaxRetries())
	c.duration(path+".idleTimeout", p.GetIdleTimeout(), 0)
}

func (c *checker) outlierDetection(path string, o *networking.OutlierDetection) {
	c.duration(path+".interval", o.GetInterval(), time.Millisecond)
	c.duration(path+".baseEjectionTime", o.GetBaseEjectionTime(), time.Millisecond)
	c.wholePercent(path+".maxEjectionPercent", o.GetMaxEjectionPercent())
	c.wholePercent(path+".minHealthPercent", o.GetMinHealthPercent())
	if o.GetConsecutiveLocalOriginFailures() != nil && !o.GetSplitExternalLocalOriginErrors() {
		c.add(path+".consecutiveLocalOriginFailures", "has no effect without splitExternalLocalOriginErrors", "set splitExternalLocalOriginErrors: true")
	}
}

func (c *checker) destinationRuleWarnings(dr *networking.DestinationRule) {
	c.clientTLSWarnings(dr)
	c.trafficPolicyWarnings("spec.trafficPolicy", dr.GetTrafficPolicy())
	for i, s := range dr.GetSubsets() {
		c.trafficPolicyWarnings(fmt.Sprintf("spec.subsets[%d].trafficPolicy", i), s.GetTrafficPolicy())
	}
}

func (c *checker) trafficPolicyWarnings(path string, p *networking.TrafficPolicy) {
	c.ejectionWarning(path, p.GetOutlierDetection())
	for i, s := range p.GetPortLevelSettings() {
		field := fmt.Sprintf("%s.portLevelSettings[%d]", path, i)
		c.ejectionWarning(field, s.GetOutlierDetection())
		if s.GetConnectionPool() == nil && s.GetLoadBalancer() == nil && s.GetOutlierDetection() == nil && s.GetTls() == nil {
			c.add(field, "has no settings: the port gets the defaults in place of those for all ports", "repeat the settings that the port shall have, or remove the entry")
		}
	}
}

// ejectionWarning names the default: Envoy ejects no endpoint beyond the share, where older ones ejected the first anyway.
func (c *checker) ejectionWarning(path string, o *networking.OutlierDetection) {
	if o != nil && o.GetMaxEjectionPercent() == 0 {
		c.add(path+".outlierDetection.maxEjectionPercent", "is 10 unless it is set: of fewer than ten endpoints none is ejected", "set it, to 100 for example")
	}
}
