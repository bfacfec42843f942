package report

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
)

// usedImages lists the images to mirror: for each image of the plan the digests that pods run, or its tag while no pod reports
// one.
func usedImages(plan desired.Plan, pods []*corev1.Pod) []string {
	digests := digestsOf(pods)
	var images []string
	for _, image := range plan.Images() {
		if len(digests[image]) > 0 {
			images = append(images, digests[image]...)
		} else {
			images = append(images, image)
		}
	}
	slices.Sort(images)
	return slices.Compact(images)
}

// digestsOf returns, by the image that a container asks for, what the container runtimes say that they run for it. A node
// may run an older image of the same tag than another.
func digestsOf(pods []*corev1.Pod) map[string][]string {
	out := map[string][]string{}
	for _, pod := range pods {
		wanted := map[string]string{}
		for _, c := range pod.Spec.Containers {
			wanted[c.Name] = c.Image
		}
		for _, status := range pod.Status.ContainerStatuses {
			if digest := digestOf(status.ImageID, wanted[status.Name]); digest != "" && pod.DeletionTimestamp == nil {
				out[wanted[status.Name]] = append(out[wanted[status.Name]], digest)
			}
		}
	}
	return out
}

// digestOf is what an imageID says that can be pulled: an image that was loaded into a node, and not pulled, has the digest
// of its configuration only, or a repository that the load made up (import-2030-01-01@sha256:...). No registry knows them.
func digestOf(imageID, image string) string {
	if _, rest, ok := strings.Cut(imageID, "://"); ok { // docker-pullable://
		imageID = rest
	}
	repository, _, ok := strings.Cut(imageID, "@sha256:")
	image, _, _ = strings.Cut(image, "@")
	name, _, _ := strings.Cut(path.Base(image), ":")
	if !ok || path.Base(repository) != name {
		return ""
	}
	return imageID
}
