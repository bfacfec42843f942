// Package featuretest looks at pilot as a proxy does: real objects go in, a real client on a real connection looks at what
// comes out. One file per feature; the directory is the list of them. The tests wait for messages, never for time.
package featuretest
