package mesh

// Build makes the model of in. It reuses the parts of prev, which may be nil, that did not change.
func Build(prev *Snapshot, in Inputs) *Snapshot {
	return &Snapshot{Settings: &Settings{}, memo: &memo{}}
}

// Proxy describes the proxy in the named pod; false if there is no such pod.
func (s *Snapshot) Proxy(namespace, pod string) (Proxy, bool) { return Proxy{}, false }

type index struct{}
