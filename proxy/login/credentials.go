package login

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// The keys of the Secret. There is either a password or its hash.
const (
	usernameKey     = "username"
	passwordKey     = "password"
	passwordHashKey = "passwordHash" // bcrypt, as htpasswd -B writes it
)

// parallelHashes bounds what clients without a password can make this process compute.
const parallelHashes = 2

// credentials are the user's, as the Secret has them now. Only hashes are kept in memory.
type credentials struct {
	dir     string
	cost    int    // of a hash that is made here
	changed func() // called after the Secret has changed
	slots   chan struct{}
	key     []byte // of remembered; random, and of this process

	mu         sync.Mutex
	source     [sha256.Size]byte // of the files
	username   []byte
	hash       []byte
	remembered []byte // of what matched last, so that scripts do not cost a hash with each request
}

func newCredentials(dir string, cost int, changed func()) *credentials {
	c := &credentials{dir: dir, cost: cost, changed: changed, slots: make(chan struct{}, parallelHashes), key: make([]byte, sha256.Size)}
	_, _ = rand.Read(c.key) // it never fails: https://pkg.go.dev/crypto/rand#Read
	return c
}

// match compares with the Secret. It takes the same time for a wrong name as for a wrong password.
func (c *credentials) match(ctx context.Context, name, password string) (bool, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	username, hash, err := c.read()
	if err != nil {
		return false, err
	}
	same := bcrypt.CompareHashAndPassword(hash, limited(password)) == nil
	if subtle.ConstantTimeCompare(digest(username), digest([]byte(name))) != 1 || !same {
		return false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remembered = c.mac(name, password)
	return true, nil
}

// remembers says that these credentials have matched since the Secret changed last.
func (c *credentials) remembers(name, password string) bool {
	if _, _, err := c.read(); err != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.remembered != nil && hmac.Equal(c.remembered, c.mac(name, password))
}

// current says that the Secret has not changed since it was read last. Sessions of credentials that are gone end with it.
func (c *credentials) current() bool {
	_, _, err := c.read()
	return err == nil
}

// read returns the user's name and the hash of the password. It computes a hash only when the files have changed.
func (c *credentials) read() (username, hash []byte, err error) {
	username, err = c.file(usernameKey)
	if err != nil {
		return nil, nil, err
	}
	plain, err := c.file(passwordKey)
	given, hashErr := c.file(passwordHashKey)
	if err != nil && hashErr != nil {
		return nil, nil, err
	}
	source := sha256.Sum256(bytes.Join([][]byte{username, plain, given}, []byte{0}))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hash != nil && source == c.source {
		return c.username, c.hash, nil
	}
	if len(given) == 0 {
		if given, err = bcrypt.GenerateFromPassword(limited(string(plain)), c.cost); err != nil {
			return nil, nil, fmt.Errorf("hash password: %w", err)
		}
	} else if _, err := bcrypt.Cost(given); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", passwordHashKey, err)
	}
	c.source, c.username, c.hash, c.remembered = source, username, given, nil
	c.changed()
	return username, given, nil
}

// file reads a key of the Secret. People write them with a line's end.
func (c *credentials) file(key string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(c.dir, key))
	if err != nil {
		return nil, fmt.Errorf("read %s of the Secret: %w", key, err)
	}
	if text = bytes.TrimRight(text, "\r\n"); len(text) == 0 {
		return nil, errors.New("read " + key + " of the Secret: it is empty")
	}
	return text, nil
}

// limited is what bcrypt sees of a password: it takes 72 bytes at most, so a longer one is hashed before.
func limited(password string) []byte {
	if len(password) <= 72 {
		return []byte(password)
	}
	return []byte(fmt.Sprintf("%x", sha256.Sum256([]byte(password))))
}

func (c *credentials) mac(name, password string) []byte {
	m := hmac.New(sha256.New, c.key)
	m.Write(digest([]byte(name)))
	m.Write(digest([]byte(password)))
	return m.Sum(nil)
}

func digest(text []byte) []byte {
	sum := sha256.Sum256(text)
	return sum[:]
}
