package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/certfile"
)

// filesInterval is the interval between two checks of a file. A watch would not work: the kubelet swaps a symbolic link two
// levels above the file.
const filesInterval = 2 * time.Second

// Size limits in bytes: a chain has a few certificates, a list of public authorities has 150.
const (
	maxPair        = 256 << 10
	maxAuthorities = 2 << 20
)

// fileSecrets reads the certificates that DestinationRules name by file, for one stream of Envoy's. It serves the last valid
// content until the files have valid content again: a file that is removed or half written breaks no connection.
type fileSecrets struct {
	reserved []string // folders whose files are never read
	log      *slog.Logger
	byName   map[string]*fileSecret
}

// fileSecret is the state of one name.
type fileSecret struct {
	secret      secret
	valid       bool
	fingerprint string // of the files when they were last read
	lastError   string // why the files cannot be used; logged once
}

// newFileSecrets never reads files of the agent's own folders, through no symbolic link.
func newFileSecrets(own []string, log *slog.Logger) *fileSecrets {
	f := &fileSecrets{log: log, byName: map[string]*fileSecret{}}
	for _, folder := range append(own, certfile.Reserved...) {
		f.reserved = append(f.reserved, folder)
		if real, err := filepath.EvalSymlinks(folder); err == nil && real != folder {
			f.reserved = append(f.reserved, real)
		}
	}
	return f
}

// get returns the current secret of a name.
func (f *fileSecrets) get(name string, files certfile.Files) (secret, bool) {
	s := f.byName[name]
	if s == nil {
		s = &fileSecret{}
		f.byName[name] = s
	}
	f.refresh(name, files, s)
	return s.secret, s.valid
}

func (f *fileSecrets) refresh(name string, files certfile.Files, s *fileSecret) {
	current := fingerprintOf(files)
	if s.valid && s.lastError == "" && current == s.fingerprint && current != "" {
		return
	}
	read, err := f.read(name, files)
	if err != nil {
		if s.lastError != err.Error() {
			f.log.Warn("certificate of a rule is not valid; connections use the last valid one, and fail if there is none",
				"name", name, "error", err, "last", s.valid)
		}
		s.lastError = err.Error()
		return
	}
	if s.lastError != "" || s.valid && s.secret.version != read.version {
		f.log.Info("certificate of a rule changed", "name", name)
	}
	*s = fileSecret{secret: read, valid: true, fingerprint: current}
}

// fingerprintOf changes when the files may have changed; "" when one of them does not exist.
func fingerprintOf(files certfile.Files) string {
	var out string
	for _, path := range []string{files.Certificate, files.Key, files.Authorities, files.Revoked} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return ""
		}
		out += info.ModTime().String() + strconv.FormatInt(info.Size(), 10)
		if system, ok := info.Sys().(*syscall.Stat_t); ok {
			out += fmt.Sprintf(" %d %d;", system.Dev, system.Ino)
		}
	}
	return out
}

// read returns a secret with the content of files, or an error if Envoy would reject the content.
func (f *fileSecrets) read(name string, files certfile.Files) (secret, error) {
	if files.Authorities != "" {
		return f.readAuthorities(name, files)
	}
	chain, err := f.open(files.Certificate, maxPair)
	if err != nil {
		return secret{}, err
	}
	key, err := f.open(files.Key, maxPair)
	if err != nil {
		return secret{}, err
	}
	if err := certfile.CheckPair(chain, key); err != nil {
		return secret{}, fmt.Errorf("%s and %s %w", files.Certificate, files.Key, err)
	}
	return pairSecret(name, chain, key), nil
}

func (f *fileSecrets) readAuthorities(name string, files certfile.Files) (secret, error) {
	roots, err := f.open(files.Authorities, maxAuthorities)
	if err != nil {
		return secret{}, err
	}
	if err := certfile.CheckAuthorities(roots); err != nil {
		return secret{}, fmt.Errorf("%s %w", files.Authorities, err)
	}
	if files.Revoked == "" {
		return validationSecret(name, roots, nil), nil
	}
	revoked, err := f.open(files.Revoked, maxAuthorities)
	if err != nil {
		return secret{}, err
	}
	if err := certfile.CheckRevoked(revoked); err != nil {
		return secret{}, fmt.Errorf("%s %w", files.Revoked, err)
	}
	return validationSecret(name, roots, revoked), nil
}

// open reads a regular file. The author of a rule for the server chooses the path, not the owner of this pod: it must not
// lead to the workload's key and tokens, through no symbolic link, nor to a file that blocks or never ends. The checks apply to the
// file that was opened, because the path may change between a check and the open.
func (f *fileSecrets) open(path string, limit int64) ([]byte, error) {
	if err := certfile.CheckPath(path); err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, explainMissing(err)
	}
	defer file.Close()
	real, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(file.Fd())))
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", path, err)
	}
	if folder := certfile.Within(real, f.reserved); folder != "" {
		return nil, fmt.Errorf("%s leads to %s, which rules may not use", path, folder)
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("%s is larger than %d KiB", path, limit>>10)
	}
	return text, nil
}

// explainMissing adds the way out to the error for a file that does not exist.
func explainMissing(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s does not exist in the proxy: mount it there", at.Path)
	}
	return err
}
