package envoy

import "sync"

// cache remembers results by the hash of their inputs. It keeps two generations: what was not asked for while the young
// one filled up is forgotten.
type cache[V any] struct {
	mu         sync.Mutex
	size       int
	young, old map[string]V
}

func newCache[V any](size int) *cache[V] { return &cache[V]{size: size, young: map[string]V{}} }

// get returns the value for key, computing it if it is not remembered. Two callers may compute the same value at once;
// both then use the one that was stored first.
func (c *cache[V]) get(key string, compute func() V) V {
	if v, ok := c.find(key); ok {
		return v
	}
	v := compute()
	c.mu.Lock()
	defer c.mu.Unlock()
	if first, ok := c.young[key]; ok {
		return first
	}
	c.store(key, v)
	return v
}

func (c *cache[V]) find(key string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, ok := c.young[key]; ok {
		return v, true
	}
	v, ok := c.old[key]
	if ok {
		c.store(key, v)
	}
	return v, ok
}

func (c *cache[V]) store(key string, v V) {
	if len(c.young) >= c.size {
		c.old, c.young = c.young, map[string]V{}
	}
	c.young[key] = v
}
