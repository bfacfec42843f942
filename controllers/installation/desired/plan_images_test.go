package desired

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

// TestPlanImages lists the images of a mesh with Elasticsearch, whose cleaner is a job and whose connections go through a container of
// proxyv2, also where there is no injector.
func TestPlanImages(t *testing.T) {
	images := Images{OperatorImage: "r/op:1", ProxyImage: "r/proxy:1", PrometheusImage: "r/prometheus:1", JaegerImage: "r/jaeger:1",
		ElasticsearchImage: "r/opensearch:1", IndexCleanerImage: "r/cleaner:1"}
	off := false
	for name, c := range map[string]struct {
		spec v1alpha1.InstallationSpec
		want []string
	}{
		"everything": {v1alpha1.InstallationSpec{}, []string{"r/cleaner:1", "r/jaeger:1", "r/op:1", "r/opensearch:1", "r/prometheus:1", "r/proxy:1"}},
		"minimal":    {v1alpha1.InstallationSpec{Profile: "Minimal"}, []string{"r/op:1", "r/proxy:1"}},
		"no injector": {v1alpha1.InstallationSpec{Profile: "Minimal", Components: &v1alpha1.ComponentsSpec{SidecarInjector: &v1alpha1.ComponentSpec{Enabled: &off}}},
			[]string{"r/op:1"}},
	} {
		plan, err := Build(Input{Spec: &c.spec, Images: images, Catalog: Components()})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, plan.Images()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
