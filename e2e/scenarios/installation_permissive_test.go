package scenarios

import "testing"

// TestInstallationPermissive sets the article's switch, and the newer field: authentication false admits plaintext next to
// mutual TLS, true ends that.
func TestInstallationPermissive(t *testing.T) {
	installation(t)
	sharedBookinfo(t)
	plaintextClient(t)
	const url = "http://details.bookinfo:9080/details/0"
	plaintext := func(t *testing.T, what string, status int) {
		t.Helper()
		eventuallyStatus(t, what, status, outside, url)
	}
	plaintext(t, "plaintext is refused", 0)
	t.Run("authentication false", func(t *testing.T) {
		edit(t, `{"spec":{"istio":{"authentication":false}}}`)
		plaintext(t, "plaintext is answered", 200)
		eventuallyStatus(t, "mutual TLS is answered", 200, bookinfo, url)
	})
	plaintext(t, "plaintext is refused again", 0)
	t.Run("security.mtls.mode PERMISSIVE", func(t *testing.T) {
		edit(t, `{"spec":{"istio":{"authentication":null},"security":{"mtls":{"mode":"PERMISSIVE"}}}}`)
		plaintext(t, "plaintext is answered", 200)
	})
	plaintext(t, "plaintext is refused once more", 0)
	eventuallyStatus(t, "mutual TLS is answered", 200, bookinfo, url)
}
