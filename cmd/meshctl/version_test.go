package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

// TestVersionLines: what runs in the cluster, while it is installed, updated, and afterwards.
func TestVersionLines(t *testing.T) {
	for want, status := range map[string]v1alpha1.InstallationStatus{
		"": {},
		"operator 2\ncontrol plane 2, being installed\n":    {Version: &v1alpha1.VersionStatus{Operator: "2", Desired: "2"}},
		"operator 2\ncontrol plane 1, being updated to 2\n": {Version: &v1alpha1.VersionStatus{Operator: "2", Desired: "2", Current: "1"}},
		"operator 2\ncontrol plane 2\ndata plane 3 proxies, 1 of them outdated\n": {
			Version: &v1alpha1.VersionStatus{Operator: "2", Desired: "2", Current: "2"}, DataPlane: &v1alpha1.DataPlaneStatus{Proxies: 3, Outdated: 1}},
	} {
		if got := versionLines(&status); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestPlugin: as a plugin of kubectl it calls itself what the user typed, and shells complete its commands.
func TestPlugin(t *testing.T) {
	for program, want := range map[string]string{"/usr/local/bin/kubectl-mesh": "kubectl mesh", "./meshctl": "meshctl"} {
		if got := displayName(program); got != want {
			t.Errorf("%s calls itself %q, want %q", program, got, want)
		}
	}
	for args, want := range map[string]string{"__complete ch": "check\t", "completion bash": "bash completion V2 for meshctl"} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), streams{nil, &out, &errs}); code != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("meshctl %s: exit %d, %q lacks %q (%s)", args, code, out.String(), want, errs.String())
		}
	}
}
