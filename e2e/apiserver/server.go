// Package apiserver runs a real API server without a node: etcd, kube-apiserver and the few controllers of Kubernetes that
// objects depend on (namespaces, garbage, Deployments). A Node plays the kubelet and citadel by writing what they would
// write, a Wire between the operator and the API server breaks, and a Dump tells what is there afterwards.
//
// What is tested here is what only an API server can answer: admission, server-side apply, finalizers, prune, and what is
// left when a request fails or the operator dies at any moment. What needs a running proxy belongs to e2e/scenarios.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// Server is a running API server and an administrator's clients for it.
type Server struct {
	*lab.Lab
	dir         string
	kube        string // all of Kubernetes in one program
	plane       *envtest.ControlPlane
	controllers *exec.Cmd
}

// startLimit leaves room for a machine that compiles something at the same time.
const startLimit = 3 * time.Minute

// Start is StartEmpty and the operator's objects.
func Start(ctx context.Context) (*Server, error) {
	s, err := StartEmpty(ctx, "apiserver")
	if err != nil {
		return nil, err
	}
	if err := s.installOperator(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// StartEmpty starts everything on free ports of the loopback, with logs in a folder of .out of that name; Stop ends it, and so does
// the end of this process.
func StartEmpty(ctx context.Context, logs string) (*Server, error) {
	root, err := lab.Root()
	if err != nil {
		return nil, err
	}
	fetched, err := lab.Run(ctx, root, filepath.Join(root, ".bin", "cluster"), "fetch")
	if err != nil {
		return nil, fmt.Errorf("find Kubernetes (make cluster builds it): %w", err)
	}
	paths := strings.Fields(fetched)
	if len(paths) < 4 {
		return nil, fmt.Errorf("find Kubernetes: .bin/cluster fetch printed %q", fetched)
	}
	s := &Server{kube: paths[0]}
	if s.dir, err = os.MkdirTemp("", "mesh-apiserver-"); err != nil {
		return nil, err
	}
	if err := s.start(ctx, root, logs, filepath.Join(paths[3], "usr", "bin", "etcd")); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, root, logs, etcd string) error {
	logs = filepath.Join(root, ".out", logs)
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return err
	}
	admin, err := s.startPlane(logs, etcd)
	if err != nil {
		return fmt.Errorf("%w; its log is in %s", err, logs)
	}
	config := rest.CopyConfig(admin.Config())
	if s.Lab, err = lab.Connect(root, config); err != nil {
		return err
	}
	if err := s.startControllers(admin, filepath.Join(logs, "kube-controller-manager.log")); err != nil {
		return fmt.Errorf("start kube-controller-manager: %w", err)
	}
	return nil
}

// startPlane starts etcd and the API server, and returns its administrator.
func (s *Server) startPlane(logs, etcd string) (*envtest.AuthenticatedUser, error) {
	etcdProgram, err := s.program("etcd", etcd)
	if err != nil {
		return nil, err
	}
	apiProgram, err := s.program("kube-apiserver", s.kube, "kube-apiserver")
	if err != nil {
		return nil, err
	}
	etcdLog, err := os.Create(filepath.Join(logs, "etcd.log"))
	if err != nil {
		return nil, err
	}
	apiLog, err := os.Create(filepath.Join(logs, "kube-apiserver.log"))
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"data", "pki"} {
		if err := os.Mkdir(filepath.Join(s.dir, dir), 0o700); err != nil {
			return nil, err
		}
	}
	s.plane = &envtest.ControlPlane{
		Etcd:      &envtest.Etcd{Path: etcdProgram, DataDir: filepath.Join(s.dir, "data"), Out: etcdLog, Err: etcdLog, StartTimeout: startLimit},
		APIServer: &envtest.APIServer{Path: apiProgram, CertDir: filepath.Join(s.dir, "pki"), Out: apiLog, Err: apiLog, StartTimeout: startLimit},
	}
	if err := s.plane.Start(); err != nil {
		return nil, fmt.Errorf("start the API server: %w", err)
	}
	return s.plane.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, &rest.Config{})
}

// program writes a script that runs a command which ends with the process that started it.
func (s *Server) program(name string, command ...string) (string, error) {
	path := filepath.Join(s.dir, name)
	text := "#!/bin/sh\nexec setpriv --pdeathsig KILL -- '" + strings.Join(command, "' '") + "' \"$@\"\n"
	return path, os.WriteFile(path, []byte(text), 0o700)
}

// startControllers starts the controllers that stand behind objects: without them no namespace would ever end, nothing
// would follow its owner, and no Deployment would get a pod.
func (s *Server) startControllers(admin *envtest.AuthenticatedUser, path string) error {
	content, err := admin.KubeConfig()
	if err != nil {
		return err
	}
	kubeconfig := filepath.Join(s.dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, content, 0o600); err != nil {
		return err
	}
	log, err := os.Create(path)
	if err != nil {
		return err
	}
	s.controllers = exec.Command(s.kube, "kube-controller-manager", "--kubeconfig="+kubeconfig, "--leader-elect=false", "--secure-port=0",
		"--controllers=namespace-controller,garbage-collector-controller,deployment-controller,replicaset-controller,statefulset-controller,daemonset-controller,persistentvolumeclaim-protection-controller",
		"--kube-api-qps=500", "--kube-api-burst=1000")
	s.controllers.Stdout, s.controllers.Stderr = log, log
	s.controllers.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return s.controllers.Start()
}

// installOperator is kubectl apply -k config/default.
func (s *Server) installOperator(ctx context.Context) error {
	text, err := lab.Run(ctx, s.Root, s.kube, "kubectl", "kustomize", "config/default")
	if err != nil {
		return err
	}
	if err := s.Apply(ctx, "", text); err != nil {
		return fmt.Errorf("apply config/default: %w", err)
	}
	return s.servesInstallations(ctx)
}

func (s *Server) servesInstallations(ctx context.Context) error {
	return lab.Until(ctx, "Installations are served", func(ctx context.Context) error {
		s.Mapper.Reset()
		_, err := s.Dynamic.Resource(lab.InstallationResource).List(ctx, everything)
		return err
	})
}

// Stop ends all processes and removes their files.
func (s *Server) Stop() error {
	var err error
	if s.controllers != nil {
		_ = s.controllers.Process.Kill()
		_ = s.controllers.Wait() // killed
	}
	if s.plane != nil {
		err = s.plane.Stop()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
