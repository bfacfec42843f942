package node

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

// component is one process of the node.
type component struct {
	name    string
	command []string
	env     []string
}

// components lists the node's processes by name. start.go has the order of their start.
func components(layout state.Layout, spec state.Spec, s settings) map[string]component {
	environment := toolEnvironment(spec.Artifacts.Debian, filepath.Join(layout.Dir(), "tmp"))
	all := map[string]component{}
	add := func(name, program string, arguments ...string) {
		all[name] = component{name: name, command: append([]string{program}, arguments...), env: environment}
	}
	kube := func(name string, arguments ...string) {
		add(name, spec.Artifacts.Kube, append([]string{name}, arguments...)...)
	}
	debian := filepath.Join(spec.Artifacts.Debian, "usr/bin")

	add("etcd", filepath.Join(debian, "etcd"),
		"--data-dir="+filepath.Join(s.Data, "etcd"),
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=default=http://127.0.0.1:2380", "--unsafe-no-fsync")
	add("containerd", filepath.Join(debian, "containerd"), "--config="+filepath.Join(s.Config, "containerd.toml"))
	add("coredns", spec.Artifacts.CoreDNS, "-conf="+filepath.Join(s.Config, "Corefile"))
	kube("kube-apiserver", apiServerFlags(layout, s)...)
	kube("kube-controller-manager", controllerManagerFlags(s)...)
	kube("kube-scheduler",
		"--kubeconfig="+filepath.Join(s.PKI, "kube-scheduler.kubeconfig"), "--leader-elect=false", "--bind-address=127.0.0.1")
	kube("kubelet",
		"--kubeconfig="+filepath.Join(s.PKI, "kubelet.kubeconfig"), "--config="+filepath.Join(s.Config, "kubelet.yaml"),
		"--hostname-override="+s.NodeName, "--node-ip="+s.Network.Node)
	kube("kube-proxy", "--config="+filepath.Join(s.Config, "kube-proxy.yaml"))
	return all
}

func apiServerFlags(layout state.Layout, s settings) []string {
	pki := func(file string) string { return filepath.Join(s.PKI, file) }
	return []string{
		"--etcd-servers=http://127.0.0.1:2379",
		"--bind-address=0.0.0.0", "--secure-port=6443", "--advertise-address=" + s.Network.Node,
		"--service-cluster-ip-range=" + s.Network.Services,
		"--tls-cert-file=" + pki("kube-apiserver.crt"), "--tls-private-key-file=" + pki("kube-apiserver.key"),
		"--client-ca-file=" + pki("ca.crt"),
		"--kubelet-client-certificate=" + pki("kube-apiserver.crt"), "--kubelet-client-key=" + pki("kube-apiserver.key"),
		"--kubelet-certificate-authority=" + pki("ca.crt"),
		// The node's name is in no DNS.
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + pki("sa.pub"), "--service-account-signing-key-file=" + pki("sa.key"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--audit-policy-file=" + filepath.Join(s.Config, "audit-policy.yaml"), "--audit-log-path=" + layout.Audit(),
		"--audit-log-maxsize=2000", // megabytes, so that it stays one file: tests read it from its beginning
	}
}

func controllerManagerFlags(s settings) []string {
	pki := func(file string) string { return filepath.Join(s.PKI, file) }
	return []string{
		"--kubeconfig=" + pki("kube-controller-manager.kubeconfig"), "--leader-elect=false", "--bind-address=127.0.0.1",
		"--use-service-account-credentials=true",
		// Each controller asks for its own token; at the default rate that alone takes four seconds.
		"--kube-api-qps=500", "--kube-api-burst=1000",
		"--service-account-private-key-file=" + pki("sa.key"), "--root-ca-file=" + pki("ca.crt"),
		"--cluster-signing-cert-file=" + pki("ca.crt"), "--cluster-signing-key-file=" + pki("ca.key"),
		"--flex-volume-plugin-dir=/var/lib/kubelet/volume-plugins",
	}
}

// toolEnvironment makes the unpacked programs use each other and their libraries rather than the host's, which may be missing.
func toolEnvironment(debian, temporary string) []string {
	libraries, _ := filepath.Glob(filepath.Join(debian, "usr/lib/*-linux-gnu"))
	environment := []string{
		"HOME=/root",
		"TMPDIR=" + temporary,
		"PATH=" + strings.Join([]string{
			filepath.Join(debian, "usr/sbin"), filepath.Join(debian, "usr/bin"),
			"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
		}, string(os.PathListSeparator)),
	}
	if len(libraries) > 0 {
		environment = append(environment,
			"LD_LIBRARY_PATH="+strings.Join(libraries, ":"), "XTABLES_LIBDIR="+filepath.Join(libraries[0], "xtables"))
	}
	return environment
}
