// Package version holds the one version of everything this repository builds: the binary, the two images and the control
// plane they form. A release changes it here and nowhere else.
package version

import (
	"fmt"
	"runtime"
)

// Version is the semantic version of this build without a leading "v"; images are tagged with it.
const Version = "0.1.0"

// Line is the one-line answer to `mesh-operator version` and GET /version.
func Line(role string) string {
	return fmt.Sprintf("%s %s %s %s/%s", role, Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
