package packaging

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
)

// Lines of config/manager/deployment.yaml between which the table of images is written.
const (
	imagesBegin = "        # The images that an Installation gets which names none. Change them to mirror.\n"
	imagesEnd   = "        ports:\n"
)

// Deployment returns the text of config/manager/deployment.yaml with the images of the table.
func Deployment(text []byte) ([]byte, error) {
	before, rest, found := bytes.Cut(text, []byte(imagesBegin))
	_, after, ended := bytes.Cut(rest, []byte(imagesEnd))
	if !found || !ended {
		return nil, errors.New("find the images in config/manager/deployment.yaml: the lines around them are missing")
	}
	var out bytes.Buffer
	out.Write(before)
	out.WriteString(imagesBegin)
	for _, image := range desired.BuiltIn() {
		fmt.Fprintf(&out, "        - name: %s\n          value: %s\n", image.Variable, image.Reference)
	}
	out.WriteString(imagesEnd)
	out.Write(after)
	return out.Bytes(), nil
}
