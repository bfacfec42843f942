package login

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

const (
	// cookieName begins with what makes browsers refuse the cookie without TLS.
	cookieName = "__Secure-mesh-session"
	lifetime   = 8 * time.Hour
	// maxSessions bounds the memory; beyond it the oldest session ends.
	maxSessions = 1000
)

// sessions are the browsers that have logged in to this process. A cookie holds a random token, and this its hash.
type sessions struct {
	now func() time.Time

	mu      sync.Mutex
	expires map[[sha256.Size]byte]time.Time
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, expires: map[[sha256.Size]byte]time.Time{}}
}

// begin returns the token of a new session.
func (s *sessions) begin() string {
	token := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.expires) >= maxSessions {
		s.dropOldest()
	}
	s.expires[sha256.Sum256([]byte(token))] = s.now().Add(lifetime)
	return token
}

// dropOldest is called with the lock held.
func (s *sessions) dropOldest() {
	var oldest [sha256.Size]byte
	var first time.Time
	for id, expires := range s.expires {
		if first.IsZero() || expires.Before(first) {
			oldest, first = id, expires
		}
	}
	delete(s.expires, oldest)
}

// valid says that the request has the cookie of a session, and that the credentials it began with are still those.
func (s *sessions) valid(r *http.Request, c *credentials) bool {
	cookie, err := r.Cookie(cookieName)
	if err != nil || !c.current() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	expires, ok := s.expires[sha256.Sum256([]byte(cookie.Value))]
	return ok && s.now().Before(expires)
}

func (s *sessions) end(r *http.Request) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.expires, sha256.Sum256([]byte(cookie.Value)))
}

func (s *sessions) endAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.expires)
}

// cookie of a session below root; an empty token deletes it.
func cookie(root, token string) *http.Cookie {
	c := &http.Cookie{Name: cookieName, Value: token, Path: root, HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode, MaxAge: int(lifetime.Seconds())}
	if token == "" {
		c.MaxAge = -1
	}
	return c
}
