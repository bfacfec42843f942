package envoy

import "sync"

// cache holds results by the hash of their inputs. It has two generations: entries that were not used while the young
// one filled up, with entries or with bytes, are dropped.
type cache[V any] struct {
	mu         sync.Mutex
	size       int // of a generation
	bytes      int // of a generation, but for the last value
	weigh      func(V) int
	weight     int // of the young one
	young, old map[string]V
}

func newCache[V any](size, bytes int, weigh func(V) int) *cache[V] {
	return &cache[V]{size: size, bytes: bytes, weigh: weigh, young: map[string]V{}}
}

// get returns the value for key, and computes it if it is not cached. Two callers may compute the same value at once;
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
	if len(c.young) >= c.size || c.weight >= c.bytes {
		c.old, c.young, c.weight = c.young, map[string]V{}, 0
	}
	c.young[key] = v
	c.weight += c.weigh(v)
}
