package injector

import "testing"

// TestMountsOfUsers: a whole folder may be mounted over, such as /tmp on a read-only root, unless something of the proxy's is
// in it.
func TestMountsOfUsers(t *testing.T) {
	for mount, open := range map[string]bool{
		"/tmp": true, "/tmp/": true, "/mnt": true, "/opt": true, "/srv/a": true, "/etc/certs": true, "/etc/istio/user": true,
		"/etc/istio/proxyv2": true, "/etc/../tmp": true,
		"/": false, "/etc": false, "/etc/": false, "/etc/istio": false, "/etc/istio/proxy": false, "/etc/istio/pod/x": false,
		"/etc/ssl/certs": false, "/tmpfs": false, "tmp": false, "": false, "/tmp/../usr": false, "/var/run/secrets": false,
	} {
		if isOpen(mount) != open {
			t.Errorf("a mount at %q: open is %t, want %t", mount, !open, open)
		}
	}
}
