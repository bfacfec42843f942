package scenarios

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestInstallationGrafana gives Grafana a password of the user's and opens it to everybody for looking; without Grafana nothing of it
// is left.
func TestInstallationGrafana(t *testing.T) {
	installation(t)
	secrets := mesh.Client.CoreV1().Secrets("istio-system")
	_, err := secrets.Create(within(t, 30*time.Second), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "team"}, StringData: map[string]string{"username": "boss", "password": "not admin"}}, metav1.CreateOptions{})
	must(t, err)
	atEnd(t, time.Minute, func(ctx context.Context) error { return secrets.Delete(ctx, "team", metav1.DeleteOptions{}) })
	edit(t, `{"spec":{"prometheus":{"enabled":true},"grafana":{"enabled":true,"anonymous":true,"credentialsSecretRef":{"name":"team"}}}}`)
	grafana := grafanaOf(t, "team")
	eventuallyGrafana(t, "the password of the Secret opens Grafana", grafana, "/api/admin/stats", 200)
	anonymous := grafanaClient{http: grafana.http}
	eventuallyGrafana(t, "everybody may look", anonymous, "/api/dashboards/uid/istio-mesh", 200)
	eventuallyGrafana(t, "nobody sees the settings without a login", anonymous, "/api/admin/settings", 403)
	patchInstallation(t, `{"spec":{"grafana":{"enabled":false,"anonymous":null,"credentialsSecretRef":null}}}`)
	must(t, lab.Until(within(t, 2*time.Minute), "nothing is left of Grafana", func(ctx context.Context) error {
		for _, kind := range []string{"deployment", "service", "serviceaccount", "configmap", "secret"} {
			out, err := mesh.Kubectl(ctx, "get", kind, "-n", "istio-system", "-o", "name")
			if err != nil {
				return err
			}
			if strings.Contains(out, "grafana") {
				return fmt.Errorf("there are %s", out)
			}
		}
		return nil
	}))
}
