package scenarios

import "testing"

// TestPermissive turns the switch of the article: authentication false admits plaintext next to mutual TLS, true ends that.
func TestPermissive(t *testing.T) {
	outsiders(t)
	const url = "http://details.bookinfo:9080/details/0"
	plaintext := func(what string, status int) {
		t.Helper()
		eventuallyStatus(t, what, status, outside, "app=sleep", "sleep", url)
	}
	plaintext("plaintext is refused", 0)

	t.Run("authentication false", func(t *testing.T) {
		change(t, `{"spec":{"istio":{"authentication":false}}}`, `{"spec":{"istio":{"authentication":true}}}`)
		plaintext("plaintext is answered", 200)
		eventuallyStatus(t, "mutual TLS is answered", 200, bookinfo, "app=sleep", "sleep", url)
	})
	plaintext("plaintext is refused again", 0)

	t.Run("the newer spelling", func(t *testing.T) {
		change(t, `{"spec":{"istio":{"authentication":null},"security":{"mtls":{"mode":"PERMISSIVE"}}}}`,
			`{"spec":{"istio":{"authentication":true},"security":null}}`)
		plaintext("plaintext is answered", 200)
	})
	plaintext("and refused once more", 0)
	eventuallyStatus(t, "mutual TLS is answered", 200, bookinfo, "app=sleep", "sleep", url)
}
