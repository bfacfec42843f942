package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/internal/owner"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

// diffCommand is the command's input.
type diffCommand struct {
	streams
	kubeconfig, file, output string
}

func newDiffCommand(s streams) *cobra.Command {
	c := &diffCommand{streams: s}
	cmd := &cobra.Command{
		Use:   "diff -f FILE",
		Short: "Show what an edit of the Installation will do, before it happens",
		Long: "Show what the operator will do for the Installation in a file: the objects that it creates, changes and removes, each\n" +
			"field that changes, and the pods that restart. Nothing is written: the API server is asked as a dry run.\n\n" +
			"It takes the rights to read and to patch the objects of the mesh, which a dry run needs too, and to read the operator's\n" +
			"Deployment, which names its images.",
		Example: "  meshctl diff -f installation.yaml\n  kubectl mesh diff -f - < installation.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&c.file, "filename", "f", "", "file with the Installation; - is standard input")
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig; default: $KUBECONFIG, then ~/.kube/config")
	flags.StringVarP(&c.output, "output", "o", "text", "text or json")
	return cmd
}

func (c *diffCommand) run(ctx context.Context) error {
	if !slices.Contains([]string{"text", "json"}, c.output) {
		return hint(fmt.Errorf("unknown output %q", c.output), "write -o text or -o json")
	}
	wanted, err := c.read()
	if err != nil {
		return err
	}
	config, _, err := connect(c.kubeconfig)
	if err != nil {
		return hint(err, "name one with --kubeconfig")
	}
	config.WarningHandler = rest.NewWarningWriter(c.err, rest.WarningWriterOptions{Deduplicate: true})
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	kube, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	images, err := c.images(ctx, kube, wanted.GetNamespace())
	if err != nil {
		return err
	}
	in, err := c.accepted(ctx, kube, wanted)
	if err != nil {
		return err
	}
	result, err := installation.Preview(ctx, kube, images, desired.Components(), in)
	if err != nil {
		return err
	}
	text := result.Text()
	if c.output == "json" {
		data, err := json.MarshalIndent(result, "", "  ")
		if err != nil {
			return fmt.Errorf("encode the result: %w", err)
		}
		text = string(data) + "\n"
	}
	_, err = io.WriteString(c.out, text)
	return err
}

// read returns the Installation of the file, which may hold other objects too.
func (c *diffCommand) read() (*unstructured.Unstructured, error) {
	if c.file == "" {
		return nil, hint(errors.New("no file is named"), "write -f FILE, or -f - for standard input")
	}
	data, err := c.content()
	if err != nil {
		return nil, fmt.Errorf("read the Installation: %w", err)
	}
	var found []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		var object map[string]any
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the Installation: parse %s: %w", c.file, err)
		}
		if u := (&unstructured.Unstructured{Object: object}); u.GetKind() == "Installation" && u.GroupVersionKind().Group == v1alpha1.GroupVersion.Group {
			found = append(found, u)
		}
	}
	if len(found) != 1 {
		return nil, hint(fmt.Errorf("%s holds %d Installations, want one", c.file, len(found)), "kubectl get installation -n %s -o yaml prints the one of the cluster", owner.OperatorNamespace)
	}
	if found[0].GetNamespace() == "" {
		found[0].SetNamespace(owner.OperatorNamespace)
	}
	return found[0], nil
}

func (c *diffCommand) content() ([]byte, error) {
	if c.file == "-" {
		return io.ReadAll(c.in)
	}
	return os.ReadFile(c.file)
}

// accepted returns the Installation as the API server would store it: its schema and the admission policies answer, and warn, as for the edit.
func (c *diffCommand) accepted(ctx context.Context, kube client.Client, wanted *unstructured.Unstructured) (*v1alpha1.Installation, error) {
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(wanted.GroupVersionKind())
	err := kube.Get(ctx, client.ObjectKeyFromObject(wanted), live)
	switch {
	case meta.IsNoMatchError(err):
		return nil, hint(errors.New("this cluster has no kind Installation"), "install the operator first: kubectl apply --server-side -k config/default")
	case apierrors.IsNotFound(err):
		err = kube.Create(ctx, wanted, client.DryRunAll, client.FieldValidation("Strict"))
		live = wanted
	case err == nil:
		live.Object["spec"] = wanted.Object["spec"]
		err = kube.Update(ctx, live, client.DryRunAll, client.FieldValidation("Strict"))
	}
	if err != nil {
		return nil, fmt.Errorf("the API server refuses the Installation: %w", err)
	}
	data, err := json.Marshal(live.Object)
	if err != nil {
		return nil, fmt.Errorf("decode the Installation: %w", err)
	}
	in := &v1alpha1.Installation{}
	if err := json.Unmarshal(data, in); err != nil {
		return nil, fmt.Errorf("decode the Installation: %w", err)
	}
	return in, nil
}

// images reads the images that the operator in the cluster is configured with. Its version decides what it does: a meshctl of another
// one renders other objects.
func (c *diffCommand) images(ctx context.Context, kube client.Client, namespace string) (desired.ImageDefaults, error) {
	deployment := &appsv1.Deployment{}
	err := kube.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "istio-operator"}, deployment)
	if apierrors.IsNotFound(err) {
		fmt.Fprintf(c.err, "meshctl: warning: namespace %s has no Deployment istio-operator; the images are those of this meshctl\n", printable(namespace))
	} else if err != nil {
		return desired.ImageDefaults{}, fmt.Errorf("read the operator's images: %w", err)
	}
	var container corev1.Container
	if len(deployment.Spec.Template.Spec.Containers) > 0 {
		container = deployment.Spec.Template.Spec.Containers[0]
	}
	if tag := tagOf(container.Image); tag != "" && tag != version.Version {
		fmt.Fprintf(c.err, "meshctl: warning: the operator's image is %s, and this meshctl is version %s: the operator may do something else\n", printable(container.Image), version.Version)
	}
	return imagesOf(container), nil
}

// imagesOf reads the variables RELATED_IMAGE_* and the flag --image-registry of the operator.
func imagesOf(operator corev1.Container) desired.ImageDefaults {
	images := desired.ImageDefaults{BuiltIn: desired.BuiltInImages(func(name string) string {
		for _, variable := range operator.Env {
			if variable.Name == name {
				return variable.Value
			}
		}
		return ""
	})}
	for i, arg := range operator.Args {
		if value, ok := strings.CutPrefix(arg, "--image-registry="); ok {
			images.Registry = value
		}
		if arg == "--image-registry" && i+1 < len(operator.Args) {
			images.Registry = operator.Args[i+1]
		}
	}
	return images
}

// tagOf is the tag of an image; empty: it has none, or a digest.
func tagOf(image string) string {
	name := image[strings.LastIndex(image, "/")+1:]
	_, tag, _ := strings.Cut(name, ":")
	if strings.Contains(name, "@") {
		return ""
	}
	return tag
}
