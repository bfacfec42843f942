package envoy

import (
	"testing"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	statsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stats/v3"

	"github.com/mesh-operator/mesh-operator/internal/golden"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// eachMetricsLogger lets change see and change the loggers of a listener that make metrics.
func eachMetricsLogger(t *testing.T, l *listenerv3.Listener, change func(*accesslogv3.AccessLog)) {
	t.Helper()
	eachChain(l, func(chain *listenerv3.FilterChain) {
		for _, f := range chain.Filters {
			m, err := f.GetTypedConfig().UnmarshalNew()
			if err != nil {
				t.Fatal(err)
			}
			logging, ok := m.(interface {
				validated
				GetAccessLog() []*accesslogv3.AccessLog
			})
			if !ok {
				continue
			}
			for _, logger := range logging.GetAccessLog() {
				if logger.Name == statsLogger {
					change(logger)
				}
			}
			f.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: pack(logging)}
		}
	})
}

// withoutSharedScopes is a bootstrap for Envoy's validation: Envoy 1.40 judges loggers that share a scope and crashes when the
// validation ends. An Envoy that serves ends well.
func withoutSharedScopes(t *testing.T, b *bootstrapv3.Bootstrap) *bootstrapv3.Bootstrap {
	t.Helper()
	for _, l := range b.StaticResources.Listeners {
		eachMetricsLogger(t, l, func(logger *accesslogv3.AccessLog) {
			c := &statsv3.Config{}
			if err := logger.GetTypedConfig().UnmarshalTo(c); err != nil {
				t.Fatal(err)
			}
			c.StatsScope.SharingName = ""
			logger.ConfigType = &accesslogv3.AccessLog_TypedConfig{TypedConfig: pack(c)}
		})
	}
	return b
}

// TestEveryChainMakesMetrics looks at each filter chain that any case generates: a request that no logger sees is missing in
// every number. The loggers of one side are the same everywhere, or the limits of their scope would not be one.
func TestEveryChainMakesMetrics(t *testing.T) {
	eachCase(t, func(t *testing.T, _ golden.Case, set *resource.Set) {
		for name, r := range set.Of(resource.Listener).All() {
			l := decode(t, r, &listenerv3.Listener{})
			loggers := 0
			eachMetricsLogger(t, l, func(logger *accesslogv3.AccessLog) {
				c := &statsv3.Config{}
				if err := logger.GetTypedConfig().UnmarshalTo(c); err != nil {
					t.Fatal(err)
				}
				if s := c.StatsScope; s.SharingName == "" || !s.EnableEviction || s.MaxCounters.GetValue() == 0 || s.MaxHistograms.GetValue() == 0 {
					t.Errorf("%s: the scope %v is not shared and bounded", name, s)
				}
				loggers++
			})
			eachChain(l, func(*listenerv3.FilterChain) { loggers -= 2 })
			if loggers < 0 {
				t.Errorf("%s: a chain has no loggers of metrics", name)
			}
		}
	})
}
