package installation

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/controllers/installation/removal"
	"github.com/mesh-operator/mesh-operator/controllers/installation/write"
)

// memory is what the Reconciler remembers of one mesh, each concern its own part. It is replaced as a whole when the mesh is
// removed, so that nothing of one mesh is taken for true of the next.
type memory struct {
	writer      *write.Writer
	preflight   *preflight
	definitions *definitions
	roots       *roots
	planner     planner
	remover     *removal.Remover
	logged      types.UID // the Installation of the last "Installing" line
}

func newMemory(r *Reconciler) *memory {
	writer := write.New(r.Client, r.Watch.Lookup, r.Namespace)
	return &memory{
		writer:      writer,
		preflight:   newPreflight(r.Client, r.Watch, writer),
		definitions: newDefinitions(r.Client, r.Watch, writer, r.CRDs),
		roots:       &roots{client: r.Client, watch: r.Watch},
		planner:     planner{catalog: r.Catalog, namespace: r.Namespace},
		remover:     &removal.Remover{Client: r.Client, Watch: r.Watch, Writer: writer, CRDs: r.CRDs},
	}
}

// planner computes the desired objects once for each spec and set of facts.
type planner struct {
	catalog   desired.Catalog
	namespace string // of the operator
	key       string
	plan      desired.Plan
}

func (p *planner) build(in *v1alpha1.Installation, images desired.Images, facts desired.Facts) (desired.Plan, error) {
	key := fmt.Sprintf("%s/%d/%s/%x", in.UID, in.Generation, facts.NamespaceUID, facts.Roots)
	if p.key == key {
		return p.plan, nil
	}
	plan, err := desired.Build(desired.Input{Spec: &in.Spec, Images: images, Facts: facts, Catalog: p.catalog, OperatorNamespace: p.namespace})
	if err != nil {
		return desired.Plan{}, err
	}
	p.key, p.plan = key, plan
	return plan, nil
}
