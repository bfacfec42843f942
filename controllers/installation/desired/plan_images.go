package desired

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Images lists the images of everything in the plan, sorted: of components and the sidecar, and of every container of the objects, which
// has those of jobs and of containers beside a component's own.
func (p Plan) Images() []string {
	var images []string
	for _, c := range p.Components {
		if c.Enabled {
			images = append(images, c.Image, c.SidecarImage)
		}
	}
	for _, object := range p.Objects() {
		for _, pod := range [][]string{{"spec", "template", "spec"}, {"spec", "jobTemplate", "spec", "template", "spec"}} {
			for _, list := range []string{"containers", "initContainers"} {
				containers, _, _ := unstructured.NestedSlice(object.Object, append(slices.Clone(pod), list)...)
				for _, container := range containers {
					if c, ok := container.(map[string]any); ok {
						image, _ := c["image"].(string)
						images = append(images, image)
					}
				}
			}
		}
	}
	slices.Sort(images)
	images = slices.Compact(images)
	return slices.DeleteFunc(images, func(image string) bool { return image == "" })
}
