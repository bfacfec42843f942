package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/netns"
)

// hostFacts is what a cluster must not change. Other clusters may come and go meanwhile, so it holds no list of processes
// or namespaces: checkNothingLeft looks for the cluster's own.
func hostFacts(t *testing.T) map[string]string {
	t.Helper()
	facts := map[string]string{}
	for _, setting := range []string{
		"net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet", "net/netfilter/nf_conntrack_max",
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	} {
		content, err := os.ReadFile("/proc/sys/" + setting)
		facts[setting] = string(content)
		if err != nil {
			facts[setting] = "unreadable"
		}
	}
	for _, path := range []string{
		"/var/lib/kubelet", "/var/lib/cni", "/var/lib/containerd", "/var/log/pods", "/var/log/containers", "/etc/cni", "/opt/cni",
		"/run/containerd", "/run/runc", "/run/xtables.lock", "/usr/libexec/kubernetes",
	} {
		_, err := os.Stat(path)
		facts[path] = map[bool]string{true: "there", false: "not there"}[err == nil]
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		facts["device "+link.Attrs().Name] = link.Type()
	}
	rules, err := os.ReadFile("/proc/net/ip_tables_names")
	facts["iptables"] = string(rules)
	if err != nil {
		facts["iptables"] = "none"
	}
	return facts
}

func (l *lab) checkNothingLeft(before map[string]string) {
	l.t.Helper()
	if diff := cmp.Diff(before, hostFacts(l.t)); diff != "" {
		l.t.Errorf("the host changed: %s", diff)
	}
	if l.group.Exists() || len(l.group.Processes()) > 0 {
		l.t.Error("the control group is still there")
	}
	if left, err := filepath.Glob(l.Layout.Dir() + "*"); err != nil || len(left) > 0 {
		l.t.Errorf("files are left: %v %v", left, err)
	}
	if _, err := os.Stat(netns.Path(l.GroupName())); err == nil {
		l.t.Error("the network namespace is still there")
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		l.t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, l.Layout.Dir()+"/") || strings.Contains(line, l.GroupName()) {
			l.t.Errorf("a mount is left: %s", line)
		}
	}
	l.checkNoProcess()
}

// checkNoProcess looks at the command lines of all processes for the cluster's folder.
func (l *lab) checkNoProcess() {
	l.t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, file := range all {
		content, _ := os.ReadFile(file) // it may have ended since
		if bytes.Contains(content, []byte(l.Layout.Dir()+"/")) {
			l.t.Errorf("a process is left: %s %s", file, bytes.ReplaceAll(content, []byte{0}, []byte{' '}))
		}
	}
}
