package injector

import (
	"slices"
	"strings"
	"testing"

	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
)

// TestEveryFieldOfProxyConfigHasAnAnswer: a field that Istio adds is to be decided about, not ignored.
func TestEveryFieldOfProxyConfigHasAnAnswer(t *testing.T) {
	answers := map[string]int{}
	for name := range obeyedFields {
		answers[name]++
	}
	for name := range refusedFields {
		answers[name]++
	}
	for name := range ignoredFields {
		answers[name]++
	}
	fields := (&meshv1alpha1.ProxyConfig{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		name := fields.Get(i).JSONName()
		if answers[name] != 1 {
			t.Errorf("%s has %d answers", name, answers[name])
		}
		delete(answers, name)
	}
	for name := range answers {
		t.Errorf("%s is no field of ProxyConfig", name)
	}
}

// FuzzProxyConfig: whatever a tenant writes, the proxy gets only variables that it may have, with values that it can read.
func FuzzProxyConfig(f *testing.F) {
	f.Add("concurrency: 2\nproxyMetadata: {PROXY_LOG_LEVEL: debug, LD_PRELOAD: x}")
	f.Add(`{"terminationDrainDuration": "5s", "drain_duration": "1.5s"}`)
	f.Add("proxyStatsMatcher: {inclusionRegexps: [\"cluster\\\\..*$\"], inclusionPrefixes: [listener]}")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		var o options
		if err := proxyConfig(&o, text); err != nil {
			return
		}
		if err := o.setStatistics(); err != nil {
			t.Fatal(err)
		}
		for _, v := range o.variables {
			if known, found := variables[v.Name]; !found || !known.valid(v.Value) {
				t.Errorf("%s=%q gets through", v.Name, v.Value)
			}
		}
		if slices.ContainsFunc(o.warnings, func(w string) bool { return strings.HasSuffix(w, ": ") }) {
			t.Errorf("no way out in %q", o.warnings)
		}
	})
}
