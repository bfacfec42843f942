package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/yaml"
)

// job is one scrape job that discovers pods.
type job struct {
	file       string
	namespaces []string // empty: all
}

// rewrite replaces the discovery of Kubernetes by files in dir.
func rewrite(text []byte, dir string) ([]byte, []job, error) {
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, nil, fmt.Errorf("parse the configuration: %w", err)
	}
	var jobs []job
	scrapes, _ := config["scrape_configs"].([]any)
	for _, s := range scrapes {
		scrape, _ := s.(map[string]any)
		discoveries, found := scrape["kubernetes_sd_configs"].([]any)
		if !found {
			continue
		}
		j := job{file: filepath.Join(dir, fmt.Sprint(scrape["job_name"])+".json")}
		for _, d := range discoveries {
			discovery, _ := d.(map[string]any)
			if discovery["role"] != "pod" {
				return nil, nil, fmt.Errorf("job %v: role %v is not there", scrape["job_name"], discovery["role"])
			}
			namespaces, _ := discovery["namespaces"].(map[string]any)
			names, _ := namespaces["names"].([]any)
			for _, name := range names {
				j.namespaces = append(j.namespaces, fmt.Sprint(name))
			}
		}
		delete(scrape, "kubernetes_sd_configs")
		scrape["file_sd_configs"] = []any{map[string]any{"files": []any{j.file}, "refresh_interval": "5s"}}
		jobs = append(jobs, j)
	}
	text, err := yaml.Marshal(config)
	return text, jobs, err
}

func onChange(changed chan<- struct{}) cache.ResourceEventHandlerFuncs {
	note := func(any) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: note, UpdateFunc: func(_, o any) { note(o) }, DeleteFunc: note}
}

// write waits a second after a change for more of them.
func write(ctx context.Context, pods listers.PodLister, jobs []job, changed <-chan struct{}) {
	for {
		all, err := pods.List(labels.Everything())
		for _, j := range jobs {
			if err == nil {
				err = save(j.file, targets(j, all))
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "prometheus: write targets:", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

func save(path string, groups []group) error {
	text, err := json.Marshal(groups)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// group is an entry of a file of targets.
type group struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

func targets(j job, pods []*corev1.Pod) []group {
	groups := []group{}
	for _, pod := range pods {
		if pod.Status.PodIP == "" || len(j.namespaces) > 0 && !slices.Contains(j.namespaces, pod.Namespace) {
			continue
		}
		for _, c := range pod.Spec.Containers {
			groups = append(groups, container(pod, c, false)...)
		}
		for _, c := range pod.Spec.InitContainers {
			groups = append(groups, container(pod, c, true)...)
		}
	}
	slices.SortStableFunc(groups, func(x, y group) int { return cmp.Compare(x.Targets[0], y.Targets[0]) })
	return groups
}

const meta = "__meta_kubernetes_"

// container returns a target for each port of a container, or one without a port.
func container(pod *corev1.Pod, c corev1.Container, init bool) []group {
	target := func(address string) group {
		g := group{[]string{address}, podLabels(pod)}
		g.Labels[meta+"pod_container_name"] = c.Name
		g.Labels[meta+"pod_container_image"] = c.Image
		g.Labels[meta+"pod_container_init"] = strconv.FormatBool(init)
		return g
	}
	if len(c.Ports) == 0 {
		return []group{target(pod.Status.PodIP)}
	}
	var groups []group
	for _, port := range c.Ports {
		number := strconv.Itoa(int(port.ContainerPort))
		g := target(net.JoinHostPort(pod.Status.PodIP, number))
		g.Labels[meta+"pod_container_port_name"] = port.Name
		g.Labels[meta+"pod_container_port_number"] = number
		g.Labels[meta+"pod_container_port_protocol"] = string(port.Protocol)
		groups = append(groups, g)
	}
	return groups
}

var invalid = regexp.MustCompile(`[^a-zA-Z0-9_]`)

func podLabels(pod *corev1.Pod) map[string]string {
	out := map[string]string{
		meta + "namespace": pod.Namespace, meta + "pod_name": pod.Name, meta + "pod_ip": pod.Status.PodIP,
		meta + "pod_phase": string(pod.Status.Phase), meta + "pod_node_name": pod.Spec.NodeName, meta + "pod_host_ip": pod.Status.HostIP,
		meta + "pod_uid": string(pod.UID),
	}
	if owner := metav1.GetControllerOf(pod); owner != nil {
		out[meta+"pod_controller_kind"], out[meta+"pod_controller_name"] = owner.Kind, owner.Name
	}
	for kind, from := range map[string]map[string]string{"label": pod.Labels, "annotation": pod.Annotations} {
		for key, value := range from {
			name := invalid.ReplaceAllString(key, "_")
			out[meta+"pod_"+kind+"_"+name], out[meta+"pod_"+kind+"present_"+name] = value, "true"
		}
	}
	return out
}
