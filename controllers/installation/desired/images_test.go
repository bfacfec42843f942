package desired

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

func TestChooseImages(t *testing.T) {
	const builtin, ours = "quay.io/mesh-operator/", ":0.1.0"
	yes := true
	cases := map[string]struct {
		istio    v1alpha1.IstioSpec
		registry string // spec.images.registry
		flag     string // --image-registry
		want     string // prefix
		tag      string
		warned   string // field
	}{
		"UnsetUnset":                 {want: builtin, tag: ours},
		"UnsetHistoric":              {istio: spec("", "0.7.0"), want: builtin, tag: ours, warned: "spec.istio.version"},
		"UnsetOther":                 {istio: spec("", "1.2.3"), want: builtin, tag: ":1.2.3"},
		"UnsetOwn":                   {istio: spec("", "0.1.0"), want: builtin, tag: ours},
		"HistoricUnset":              {istio: spec("openshift-istio-tech-preview/", ""), want: builtin, tag: ours, warned: "spec.istio.prefix"},
		"HistoricHistoric":           {istio: spec("registry.access.redhat.com/openshift-istio-tech-preview/", "0.7.0"), want: builtin, tag: ours, warned: "spec.istio.prefix"},
		"HistoricOther":              {istio: spec("docker.io/maistra", "1.2.3"), want: builtin, tag: ours, warned: "spec.istio.prefix"},
		"HistoricPrefersRegistry":    {istio: spec("maistra", "0.7.0"), registry: "r.example/mesh", want: "r.example/mesh/", tag: ours, warned: "spec.istio.prefix"},
		"CustomUnset":                {istio: spec("registry.example.com/mesh/", ""), want: "registry.example.com/mesh/", tag: ours},
		"CustomHistoric":             {istio: spec("registry.example.com/mesh", "0.7.0"), want: "registry.example.com/mesh/", tag: ours},
		"CustomOther":                {istio: spec("registry.example.com/mesh/my-", "2024-01"), want: "registry.example.com/mesh/my-", tag: ":2024-01"},
		"CustomWinsOverRegistry":     {istio: spec("mirror", ""), registry: "r.example", want: "mirror/", tag: ours},
		"CommunityUnset":             {istio: v1alpha1.IstioSpec{Community: &yes}, want: builtin, tag: ours, warned: "spec.istio.community"},
		"CommunityIgnoresCustom":     {istio: v1alpha1.IstioSpec{Community: &yes, Prefix: "mirror/"}, want: builtin, tag: ours, warned: "spec.istio.community"},
		"Registry":                   {registry: "r.example:5000/mesh/", want: "r.example:5000/mesh/", tag: ours},
		"RegistryWithVersion":        {istio: spec("", "9"), registry: "r.example:5000", want: "r.example:5000/", tag: ":9"},
		"Flag":                       {flag: "f.example", want: "f.example/", tag: ours},
		"RegistryWinsOverFlag":       {registry: "r.example", flag: "f.example", want: "r.example/", tag: ours},
		"VersionOneSegmentIsHistory": {istio: spec("", "0.12"), want: builtin, tag: ours, warned: "spec.istio.version"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := &v1alpha1.InstallationSpec{Istio: &c.istio}
			if c.registry != "" {
				in.Images = &v1alpha1.ImagesSpec{Registry: c.registry}
			}
			defaults := builtIn
			defaults.Registry = c.flag
			got, warnings := ChooseImages(in, defaults)
			want := Images{OperatorImage: c.want + "mesh-operator" + c.tag, ProxyImage: c.want + "proxyv2" + c.tag}
			got = maps.Clone(got)
			for _, addon := range addonImages {
				delete(got, addon.name)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
			warned := ""
			for _, w := range warnings {
				warned += w.Field
			}
			if warned != c.warned {
				t.Errorf("warned about %q, want %q", warned, c.warned)
			}
		})
	}
}

func spec(prefix, version string) v1alpha1.IstioSpec {
	s := v1alpha1.IstioSpec{Prefix: prefix}
	if version != "" {
		s.Version = &v1alpha1.Scalar{Text: version}
	}
	return s
}

func TestCleanPrefix(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "team": "team/", "team/": "team/", "registry/team": "registry/team/", "registry/team/": "registry/team/",
		"registry/team/my-": "registry/team/my-",
	} {
		if got := cleanPrefix(in); got != want {
			t.Errorf("cleanPrefix(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRetag(t *testing.T) {
	for in, want := range map[string]string{
		"a/b:1": "a/b:2", "a/b": "a/b:2", "r:5000/b": "r:5000/b:2", "r:5000/b:1": "r:5000/b:2", "a/b@sha256:00": "a/b:2",
	} {
		if got := retag(in, "2"); got != want {
			t.Errorf("retag(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPrecedenceOfMutualTLS(t *testing.T) {
	yes, no := true, false
	cases := map[string]struct {
		authentication *bool
		mode           string
		want           string
		refused        bool
	}{
		"Nothing":            {want: "PERMISSIVE"},
		"HistoricTrue":       {authentication: &yes, want: "STRICT"},
		"HistoricFalse":      {authentication: &no, want: "PERMISSIVE"},
		"New":                {mode: "DISABLE", want: "DISABLE"},
		"Agree":              {authentication: &yes, mode: "STRICT", want: "STRICT"},
		"FalseAllowsDisable": {authentication: &no, mode: "DISABLE", want: "DISABLE"},
		"TrueAgainstNew":     {authentication: &yes, mode: "PERMISSIVE", want: "PERMISSIVE", refused: true},
		"FalseAgainstStrict": {authentication: &no, mode: "STRICT", want: "STRICT", refused: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := &v1alpha1.InstallationSpec{Istio: &v1alpha1.IstioSpec{Authentication: c.authentication}}
			if c.mode != "" {
				in.Security = &v1alpha1.SecuritySpec{MTLS: &v1alpha1.MTLSSpec{Mode: c.mode}}
			}
			mode, problem := mtlsMode(in)
			if mode != c.want || (problem != "") != c.refused {
				t.Errorf("mtlsMode() = %s, %q; want %s, refused %t", mode, problem, c.want, c.refused)
			}
		})
	}
}

// TestAddonImages: the images of other projects follow the registry, and nothing of spec.istio.
func TestAddonImages(t *testing.T) {
	environment := map[string]string{"RELATED_IMAGE_JAEGER": "r.example:5000/a/jaeger@sha256:00"}
	defaults := ImageDefaults{BuiltIn: BuiltInImages(func(name string) string { return environment[name] })}
	for text, want := range map[string]string{
		`{}`: "docker.io/prom/prometheus:v2.55.1 r.example:5000/a/jaeger@sha256:00 docker.io/opensearchproject/opensearch:2.19.1",
		`istio: {prefix: mirror.example.com/mesh, version: "9"}`: "docker.io/prom/prometheus:v2.55.1 r.example:5000/a/jaeger@sha256:00 docker.io/opensearchproject/opensearch:2.19.1",
		`images: {registry: "m.example:5000/mesh/"}`:             "m.example:5000/mesh/prometheus:v2.55.1 m.example:5000/mesh/jaeger@sha256:00 m.example:5000/mesh/opensearch:2.19.1",
	} {
		got, _ := ChooseImages(specOf(t, text), defaults)
		if got := got[PrometheusImage] + " " + got[JaegerImage] + " " + got[ElasticsearchImage]; got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
	in := Input{Spec: specOf(t, `prometheus: {image: "own.example/prometheus:1"}`), Images: defaults.BuiltIn, Catalog: Components()}
	for _, row := range in.Catalog {
		if row.Name == ComponentPrometheus && row.image(in) != "own.example/prometheus:1" {
			t.Errorf("the section's image is %s", row.image(in))
		}
	}
}
