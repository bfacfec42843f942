package node

import (
	"bytes"
	"embed"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/artifacts"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/netns"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

//go:embed config
var configs embed.FS

var templates = template.Must(template.New("").Option("missingkey=error").ParseFS(configs, "config/*"))

// nodeName is the name of the one node.
const nodeName = "node1"

// socket is containerd's, as the node sees it.
const socket = "/run/containerd/containerd.sock"

// settings is what the configuration files are made from.
type settings struct {
	NodeName   string
	PauseImage string
	Socket     string
	CgroupRoot string
	Debian     string
	Config     string
	Data       string
	PKI        string
	Hosts      string
	Network    netns.Network
}

func newSettings(layout state.Layout, spec state.Spec, cgroupRoot string) settings {
	return settings{
		NodeName: nodeName, PauseImage: artifacts.PauseImage, Socket: socket, CgroupRoot: cgroupRoot,
		Debian: spec.Artifacts.Debian, Config: layout.Config(), Data: layout.Data(), PKI: layout.PKI(),
		Hosts: layout.Hosts(), Network: netns.Default,
	}
}

// files maps a file below the configuration folder to its template.
var files = map[string]string{
	"containerd.toml":      "containerd.toml",
	"cni/10-pods.conflist": "cni.conflist",
	"kubelet.yaml":         "kubelet.yaml",
	"kube-proxy.yaml":      "kube-proxy.yaml",
	"audit-policy.yaml":    "audit-policy.yaml",
	"Corefile":             "Corefile",
	"resolv.conf":          "resolv.conf",
}

func render(name string, values any) ([]byte, error) {
	var out bytes.Buffer
	if err := templates.ExecuteTemplate(&out, name, values); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return out.Bytes(), nil
}

func writeConfigs(s settings) error {
	for file, name := range files {
		content, err := render(name, s)
		if err != nil {
			return err
		}
		path := filepath.Join(s.Config, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write configuration: %w", err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return fmt.Errorf("write configuration: %w", err)
		}
	}
	return nil
}

// writePKI makes the cluster's certificates and the components' kubeconfigs.
func writePKI(dir, server string, n netns.Network) error {
	a, err := newAuthority(dir)
	if err != nil {
		return err
	}
	if err := a.issueTokenKey(); err != nil {
		return err
	}
	for _, id := range identities(n) {
		if err := a.issue(id); err != nil {
			return err
		}
		if err := writeKubeconfig(filepath.Join(dir, id.file+".kubeconfig"), dir, id.file, nodeName, server); err != nil {
			return err
		}
	}
	return nil
}

func identities(n netns.Network) []identity {
	return []identity{
		{file: "admin", name: "admin", groups: []string{"system:masters"}},
		{file: "cluster", name: "cluster", groups: []string{"system:masters"}}, // the background process
		{file: "kube-apiserver", name: "kube-apiserver", groups: []string{"system:masters"}, names: []string{
			"127.0.0.1", n.Node, n.API, "localhost",
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		}},
		{file: "kube-controller-manager", name: "system:kube-controller-manager"},
		{file: "kube-scheduler", name: "system:kube-scheduler"},
		{file: "kube-proxy", name: "system:kube-proxy"},
		{file: "coredns", name: "system:coredns"},
		{file: "kubelet", name: "system:node:" + nodeName, groups: []string{"system:nodes"}, names: []string{nodeName, n.Node}},
	}
}

// writeKubeconfig makes a self-contained kubeconfig for one identity.
func writeKubeconfig(path, pki, user, cluster, server string) error {
	values := map[string]string{"Cluster": cluster, "User": user, "Server": server}
	for field, file := range map[string]string{"Authority": "ca.crt", "Certificate": user + ".crt", "Key": user + ".key"} {
		content, err := os.ReadFile(filepath.Join(pki, file))
		if err != nil {
			return fmt.Errorf("write kubeconfig: %w", err)
		}
		values[field] = base64.StdEncoding.EncodeToString(content)
	}
	content, err := render("kubeconfig", values)
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}
