package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mesh-operator/mesh-operator/injector"
	"github.com/mesh-operator/mesh-operator/internal/injecttemplate"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// injectConfigMap is where the operator keeps what the webhook injects with.
const injectConfigMap = "istio-sidecar-injector"

// kubeInject is the command's input.
type kubeInject struct {
	streams
	files                  []string
	output                 string
	configFile, valuesFile string
	fromCluster            bool
	kubeconfig, namespace  string
}

func newKubeInjectCommand(s streams) *cobra.Command {
	k := &kubeInject{streams: s}
	cmd := &cobra.Command{
		Use:   "kube-inject -f FILE",
		Short: "Add the sidecar to the pods of a manifest",
		Long: "Add the sidecar to every pod and pod template of a manifest, as the webhook would, and print the result for\n" +
			"kubectl apply. Workloads of extensions/v1beta1, apps/v1beta1 and apps/v1beta2 become apps/v1.\n\n" +
			"The sidecar is the one of this version of meshctl, or of the cluster's mesh with --from-cluster, or what\n" +
			"--config-file and --values-file say.",
		Example: "  kubectl apply -f <(meshctl kube-inject -f bookinfo.yaml)\n  cat sleep.yaml | meshctl kube-inject -f - --from-cluster | kubectl apply -f -",
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return k.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&k.files, "filename", "f", nil, "manifest to read, once or more; - is standard input")
	flags.StringVarP(&k.output, "output", "o", "", "file to write; default: standard output")
	flags.StringVar(&k.configFile, "config-file", "", "policy and template, as in the key config of the ConfigMap "+injectConfigMap)
	flags.StringVar(&k.valuesFile, "values-file", "", "values of the template, as in the key values of the ConfigMap "+injectConfigMap)
	flags.BoolVar(&k.fromCluster, "from-cluster", false, "take template and values from the cluster's mesh")
	flags.StringVar(&k.kubeconfig, "kubeconfig", "", "kubeconfig for --from-cluster; default: $KUBECONFIG, then ~/.kube/config")
	flags.StringVarP(&k.namespace, "mesh-namespace", "i", owner.MeshNamespace, "namespace of the mesh, for --from-cluster")
	return cmd
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return hint(fmt.Errorf("unexpected argument %q", args[0]), "name the manifest with -f: meshctl kube-inject -f %s", args[0])
	}
	return nil
}

func (k *kubeInject) run(ctx context.Context) error {
	if err := k.contradictions(); err != nil {
		return err
	}
	settings, err := k.settings(ctx)
	if err != nil {
		return err
	}
	var out bytes.Buffer // nothing is written unless all of it can be
	for i, file := range k.files {
		if i > 0 {
			out.WriteString("---\n")
		}
		if err := k.inject(settings, file, &out); err != nil {
			return err
		}
	}
	return k.write(out.Bytes())
}

// inject adds the manifest of one file to out.
func (k *kubeInject) inject(settings *injector.Settings, file string, out io.Writer) error {
	in, err := k.open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	notes, err := settings.Manifest(in, out)
	for _, n := range notes {
		fmt.Fprintf(k.err, "meshctl: note: %s: %s\n", n.Object, n.Text)
	}
	if err != nil && file != "-" {
		return fmt.Errorf("%s: %w", file, err)
	}
	return err
}

func (k *kubeInject) contradictions() error {
	switch {
	case len(k.files) == 0:
		return hint(errors.New("no manifest is given"), "meshctl kube-inject -f FILE, or -f - to read standard input")
	case slices.Contains(k.files, ""):
		return hint(errors.New("-f has an empty value"), "meshctl kube-inject -f FILE, or -f - to read standard input")
	case k.fromCluster && (k.configFile != "" || k.valuesFile != ""):
		return hint(errors.New("--from-cluster and --config-file or --values-file contradict each other"), "use either the cluster's settings or the files")
	case k.kubeconfig != "" && !k.fromCluster:
		return hint(errors.New("--kubeconfig has no meaning without --from-cluster"), "add --from-cluster to use that cluster's settings")
	}
	return nil
}

// settings come from the cluster, or from files, with this version's own in the place of a file that is not given.
func (k *kubeInject) settings(ctx context.Context) (*injector.Settings, error) {
	if k.fromCluster {
		return k.clusterSettings(ctx)
	}
	config, err := fileOr(k.configFile, injecttemplate.Config())
	if err != nil {
		return nil, err
	}
	defaults, err := injecttemplate.DefaultValues()
	if err != nil {
		return nil, err
	}
	values, err := fileOr(k.valuesFile, string(defaults))
	if err != nil {
		return nil, err
	}
	return injector.NewSettings(config, values)
}

func fileOr(path, fallback string) ([]byte, error) {
	if path == "" {
		return []byte(fallback), nil
	}
	return os.ReadFile(path)
}

func (k *kubeInject) clusterSettings(ctx context.Context) (*injector.Settings, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = k.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, hint(fmt.Errorf("load kubeconfig: %w", err), "without --from-cluster the settings of this meshctl are used")
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make API client: %w", err)
	}
	found, err := client.CoreV1().ConfigMaps(k.namespace).Get(ctx, injectConfigMap, metav1.GetOptions{})
	if err != nil {
		return nil, hint(fmt.Errorf("get ConfigMap %s/%s: %w", k.namespace, injectConfigMap, err),
			"is the mesh installed? Without --from-cluster the settings of this meshctl are used")
	}
	return injector.NewSettings([]byte(found.Data["config"]), []byte(found.Data["values"]))
}

func (k *kubeInject) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(k.in), nil
	}
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint(err, "-f takes a file; for a URL: curl -fsSL URL | meshctl kube-inject -f -")
	}
	return file, err
}

func (k *kubeInject) write(text []byte) error {
	if k.output != "" {
		return os.WriteFile(k.output, text, 0o644)
	}
	_, err := k.out.Write(text)
	return err
}
