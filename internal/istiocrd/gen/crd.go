package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

// resource is what a definition has beside its schema.
type resource struct {
	short   []string
	columns []column
}

type column struct{ name, path, description string }

var age = column{"Age", ".metadata.creationTimestamp", "When the object was created"}

// resources are short names and columns as Istio has them.
var resources = map[istioconfig.Kind]resource{
	istioconfig.VirtualService: {[]string{"vs"}, []column{
		{"Gateways", ".spec.gateways", "The gateways and sidecars that apply these routes"},
		{"Hosts", ".spec.hosts", "The hosts that traffic is being sent to"},
	}},
	istioconfig.DestinationRule:    {[]string{"dr"}, []column{{"Host", ".spec.host", "The service that the rule is for"}}},
	istioconfig.Gateway:            {[]string{"gw"}, []column{{"Selector", ".spec.selector", "The labels of the pods that serve the gateway"}}},
	istioconfig.PeerAuthentication: {[]string{"pa"}, []column{{"Mode", ".spec.mtls.mode", "The mode of mutual TLS"}}},
	istioconfig.ServiceEntry: {[]string{"se"}, []column{
		{"Hosts", ".spec.hosts", "The hosts of the service"},
		{"Location", ".spec.location", "Whether the service is in the mesh or outside"},
		{"Resolution", ".spec.resolution", "How its addresses are found"},
	}},
	"WorkloadEntry":         {[]string{"we"}, []column{{"Address", ".spec.address", "The address of the workload"}}},
	"WorkloadGroup":         {[]string{"wg"}, nil},
	"AuthorizationPolicy":   {[]string{"ap"}, []column{{"Action", ".spec.action", "What happens to requests that match"}}},
	"RequestAuthentication": {[]string{"ra"}, nil},
	"Telemetry":             {[]string{"telemetry"}, nil},
}

// generate returns the files by their paths, from the folder of the definitions.
func generate() (map[string][]byte, error) {
	files, err := chartFiles()
	if err != nil {
		return nil, fmt.Errorf("generate charts: %w", err)
	}
	for _, kind := range istioconfig.Kinds() {
		text, err := encode(definition(kind))
		if err != nil {
			return nil, fmt.Errorf("generate %s: %w", kind, err)
		}
		files[kind.Resource().Group+"_"+kind.Resource().Resource+".yaml"] = text
	}
	return files, nil
}

func definition(kind istioconfig.Kind) apiextensions.CustomResourceDefinition {
	r, gvr := resources[kind], kind.Resource()
	crd := apiextensions.CustomResourceDefinition{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{Name: gvr.Resource + "." + gvr.Group},
		Spec: apiextensions.CustomResourceDefinitionSpec{
			Group: gvr.Group, Scope: apiextensions.NamespaceScoped,
			Names: apiextensions.CustomResourceDefinitionNames{
				Kind: string(kind), ListKind: string(kind) + "List", Plural: gvr.Resource,
				Singular: strings.ToLower(string(kind)), ShortNames: r.short,
				Categories: []string{"istio-io", strings.ReplaceAll(gvr.Group, ".", "-")},
			},
		},
	}
	for i, version := range kind.Versions() {
		crd.Spec.Versions = append(crd.Spec.Versions, apiextensions.CustomResourceDefinitionVersion{
			Name: version, Served: true, Storage: i == 0, Schema: validation(kind),
			Subresources:             &apiextensions.CustomResourceSubresources{Status: &apiextensions.CustomResourceSubresourceStatus{}},
			AdditionalPrinterColumns: columns(append(slices.Clone(r.columns), age)),
		})
	}
	return crd
}

func columns(list []column) []apiextensions.CustomResourceColumnDefinition {
	var out []apiextensions.CustomResourceColumnDefinition
	for _, c := range list {
		kind := "string"
		if c == age {
			kind = "date"
		}
		out = append(out, apiextensions.CustomResourceColumnDefinition{Name: c.name, Type: kind, JSONPath: c.path, Description: c.description})
	}
	return out
}

func validation(kind istioconfig.Kind) *apiextensions.CustomResourceValidation {
	spec := kind.NewSpec().ProtoReflect().Descriptor()
	return &apiextensions.CustomResourceValidation{OpenAPIV3Schema: &apiextensions.JSONSchemaProps{
		Type: "object",
		Properties: map[string]apiextensions.JSONSchemaProps{
			"spec": specSchema(kind, spec),
			"status": {
				Type: "object", Description: "What the control plane has to say about the object.",
				XPreserveUnknownFields: new(true),
			},
		},
	}}
}

// specSchema is the schema of the message. The description of a kind that is not enforced says so in kubectl explain.
func specSchema(kind istioconfig.Kind, spec protoreflect.MessageDescriptor) apiextensions.JSONSchemaProps {
	out := messageSchema(spec, nil)
	if refusal := kind.Refusal(); refusal != "" {
		out.Description = refusal
	}
	return out
}

// encode prints a definition without the empty status that the Go type insists on.
func encode(crd apiextensions.CustomResourceDefinition) ([]byte, error) {
	text, err := json.Marshal(crd)
	if err != nil {
		return nil, err
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		return nil, err
	}
	delete(object, "status")
	body, err := yaml.Marshal(object)
	if err != nil {
		return nil, err
	}
	return slices.Concat([]byte("# "+generated+"\n"), body), nil
}
