package injector

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// reloadInterval is how old the view of the files may be. They are read, not watched: the kubelet swaps a symbolic link
// two levels up, which a watch of the file does not see.
const reloadInterval = 2 * time.Second

// source keeps the settings of two files that may change at any time.
type source struct {
	configFile, valuesFile string
	log                    *slog.Logger

	config, values []byte // as read last
	current        atomic.Pointer[Settings]
	failing        atomic.Bool
}

// settings never returns nil after the first successful load.
func (s *source) settings() *Settings { return s.current.Load() }

// load reads the files; the settings stay as they are when the files are the same or wrong.
func (s *source) load() error {
	config, err := os.ReadFile(s.configFile)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	values, err := os.ReadFile(s.valuesFile)
	if err != nil {
		return fmt.Errorf("read values: %w", err)
	}
	if bytes.Equal(config, s.config) && bytes.Equal(values, s.values) {
		return nil
	}
	s.config, s.values = config, values
	settings, err := NewSettings(config, values)
	s.failing.Store(err != nil)
	if err != nil {
		return err
	}
	s.current.Store(settings)
	return nil
}

// follow loads again until ctx ends. A wrong file is logged once and the last good settings stay: an error in the template
// must not stop pods from starting.
func (s *source) follow(ctx context.Context) error {
	ticker := time.NewTicker(reloadInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		before := s.settings()
		if err := s.load(); err != nil {
			s.log.Error("the configuration cannot be used; the last good one stays", "error", err)
		} else if s.settings() != before {
			s.log.Info("the configuration has changed", "revision", s.settings().Revision())
		}
	}
}
