package lab

import (
	"bytes"
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
)

// Exec runs a command in a container of the first running pod that matches selector and returns its standard output.
func (l *Lab) Exec(ctx context.Context, namespace, selector, container string, command ...string) (string, error) {
	pod, err := l.RunningPod(ctx, namespace, selector)
	if err != nil {
		return "", err
	}
	return l.ExecPod(ctx, pod, container, command...)
}

// ExecPod runs a command in a container of pod.
func (l *Lab) ExecPod(ctx context.Context, pod *corev1.Pod, container string, command ...string) (string, error) {
	request := l.Client.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: container, Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(l.Config, "GET", request.URL().String())
	if err != nil {
		return "", err
	}
	var stdout, stderr bytes.Buffer
	if err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr}); err != nil {
		return stdout.String(), fmt.Errorf("exec in %s/%s: %w: %s", pod.Namespace, pod.Name, err, tail(stderr.String(), 1000))
	}
	return stdout.String(), nil
}

// RunningPod returns the first ready pod that matches selector and is not being deleted. It waits for one until ctx ends: on a busy
// machine a readiness probe fails now and then.
func (l *Lab) RunningPod(ctx context.Context, namespace, selector string) (*corev1.Pod, error) {
	var found *corev1.Pod
	err := Until(ctx, "a pod is ready", func(ctx context.Context) (err error) {
		found, err = l.ReadyPod(ctx, namespace, selector)
		return err
	})
	return found, err
}

// ReadyPod is RunningPod without waiting.
func (l *Lab) ReadyPod(ctx context.Context, namespace, selector string) (*corev1.Pod, error) {
	pods, err := l.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	for i := range pods.Items {
		if p := &pods.Items[i]; p.DeletionTimestamp == nil && podReady(p) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("no ready pod matches %s in namespace %s", selector, namespace)
}

func podReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// Logs returns the log of one container of every pod that matches selector.
func (l *Lab) Logs(ctx context.Context, namespace, selector, container string, lines int64) (string, error) {
	pods, err := l.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	for _, p := range pods.Items {
		options := &corev1.PodLogOptions{Container: container}
		if lines > 0 {
			options.TailLines = &lines
		}
		text, err := l.Client.CoreV1().Pods(namespace).GetLogs(p.Name, options).DoRaw(ctx)
		if err != nil {
			return out.String(), err
		}
		out.Write(text)
	}
	return out.String(), nil
}
