package mesh

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
)

// Hash makes keys: each value is written with its length, so that no two lists of values are written alike. It is
// cryptographic, because what tenants write is in it and equal keys share configuration.
type Hash struct{ sum hash.Hash }

// NewHash starts a key.
func NewHash() Hash { return Hash{sha256.New()} }

// Add writes strings.
func (h Hash) Add(values ...string) Hash {
	var length [4]byte
	for _, v := range values {
		binary.BigEndian.PutUint32(length[:], uint32(len(v)))
		h.sum.Write(length[:])
		h.sum.Write([]byte(v))
	}
	return h
}

// List writes a list, which differs from its elements written one by one.
func (h Hash) List(values []string) Hash { return h.Uint(uint64(len(values))).Add(values...) }

// Uint writes a number.
func (h Hash) Uint(n uint64) Hash {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	h.sum.Write(b[:])
	return h
}

// Bool writes a flag.
func (h Hash) Bool(b bool) Hash {
	if b {
		return h.Uint(1)
	}
	return h.Uint(0)
}

// Map writes a map in the order of its keys.
func (h Hash) Map(m map[string]string) Hash {
	h.Uint(uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		h.Add(k, m[k])
	}
	return h
}

// Message writes a protobuf message; nil is written unlike an empty one.
func (h Hash) Message(m proto.Message) Hash {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil { // a string that is not UTF-8; protojson has refused those
		b = []byte(err.Error())
	}
	return h.Bool(m.ProtoReflect().IsValid()).Add(string(b))
}

// Key is the hash of what was written. It is not text.
func (h Hash) Key() string { return string(h.sum.Sum(nil)) }
