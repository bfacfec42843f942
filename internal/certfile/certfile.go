// Package certfile is what the parts of the mesh agree on about certificates that are not the mesh's own: those that a
// DestinationRule names by file, and those in Secrets.
//
//	rule: clientCertificate, privateKey ──▶ name file-cert:CERT~KEY ──▶ Envoy asks the agent for it
//	rule: caCertificates                ──▶ name file-root:CA       ──▶ the agent reads the files in its own pod
//
// Galley refuses what CheckPath refuses, pilot makes the names, the agent takes them apart again and asks CheckPath once
// more, because a name is all that it can know of who wrote the rule.
package certfile

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
)

// System stands in caCertificates for the certificates of public authorities that the proxy's image has.
const System = "system"

// SystemPath is where the image has them.
const SystemPath = "/etc/ssl/certs/ca-certificates.crt"

const (
	pairPrefix  = "file-cert:"
	rootsPrefix = "file-root:"
	separator   = "~"
)

// PairName is the name of the secret made of a certificate and its key.
func PairName(certificate, key string) string { return pairPrefix + certificate + separator + key }

// RootsName is the name of the secret made of authorities' certificates, no path meaning the system's, and, if there is a
// path of them, their lists of revoked certificates.
func RootsName(authorities, revoked string) string {
	if authorities == "" {
		authorities = System
	}
	if revoked != "" {
		revoked = separator + revoked
	}
	return rootsPrefix + authorities + revoked
}

// Files are the paths that a name stands for: a certificate and its key, or the certificates of authorities and what they
// have revoked.
type Files struct {
	Certificate, Key     string
	Authorities, Revoked string
}

// Parse takes a name apart; false if it is not one of files.
func Parse(name string) (Files, bool) {
	if roots, ok := strings.CutPrefix(name, rootsPrefix); ok {
		authorities, revoked, _ := strings.Cut(roots, separator)
		if authorities == System {
			authorities = SystemPath
		}
		return Files{Authorities: authorities, Revoked: revoked}, true
	}
	pair, ok := strings.CutPrefix(name, pairPrefix)
	certificate, key, separated := strings.Cut(pair, separator)
	return Files{Certificate: certificate, Key: key}, ok && separated
}

// Reserved are the folders whose files no rule may name. Whoever may write a rule for a service chooses the paths, in the
// proxy of every client of that service: the key pair of a workload, its tokens and what the kernel tells about its
// processes must not become something that a proxy shows to a server, nor may anybody learn from an upstream's failure
// what is in them.
var Reserved = []string{"/var/run", "/run", "/etc/istio/proxy", "/proc", "/sys", "/dev"}

// CheckPath says why a path cannot be used, whatever is there.
func CheckPath(file string) error {
	switch {
	case !path.IsAbs(file) || path.Clean(file) != file || file == "/":
		return errors.New("is not the absolute path of a file")
	case strings.Contains(file, separator) || strings.ContainsFunc(file, unicode.IsControl) || len(file) > 1024:
		return errors.New("has a character that a path of a certificate may not have, or more than 1024 of them")
	}
	if folder := Within(file, Reserved); folder != "" {
		return fmt.Errorf("is in %s, which rules may not use", folder)
	}
	return nil
}

// Within returns the one of folders that a clean path is or is below; "" if there is none.
func Within(file string, folders []string) string {
	for _, folder := range folders {
		if file == folder || strings.HasPrefix(file, strings.TrimSuffix(folder, "/")+"/") {
			return folder
		}
	}
	return ""
}
