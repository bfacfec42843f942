package envoytest

import (
	"fmt"
	"net"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

func TestStartedEnvoyBecomesLiveAndStops(t *testing.T) {
	e := Start(t, &bootstrapv3.Bootstrap{Node: &corev3.Node{Id: "n", Cluster: "c"}})
	e.WaitLive()
	if got := e.Stat("server.live"); got != "1" {
		t.Errorf("server.live = %q", got)
	}
	e.Stop()
	if e.Get("/ready") != "" {
		t.Error("the admin interface answers after Stop")
	}
}

func TestCheckReportsEnvoysReason(t *testing.T) {
	out, err := Check(t, &bootstrapv3.Bootstrap{DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
		AdsConfig: &corev3.ApiConfigSource{ApiType: corev3.ApiConfigSource_DELTA_GRPC},
	}})
	if err == nil || !strings.Contains(out, "gRPC service") {
		t.Errorf("a bootstrap that names no ADS cluster is accepted: %v %s", err, out)
	}
}

// TestFreePortIsUnique takes many ports, as tests do that start several Envoys: they differ, and none is somebody's.
func TestFreePortIsUnique(t *testing.T) {
	taken := FreePort(t)
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", taken))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	seen := map[uint32]bool{}
	for n := range blockSize {
		port := FreePort(t)
		if port == taken || n < blockSize/2 && seen[port] {
			t.Fatalf("port %d is given twice", port)
		}
		seen[port] = true
	}
}
