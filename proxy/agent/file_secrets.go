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

// filesInterval is how old the view of a file may be. Files are read, not watched: the kubelet swaps a symbolic link two
// levels up, which a watch of the file does not see.
const filesInterval = 2 * time.Second

// Bounds of what is parsed: a chain has a few certificates, a list of public authorities has 150.
const (
	maxPair        = 256 << 10
	maxAuthorities = 2 << 20
)

// fileSecrets serves certificates that DestinationRules name by file, to one stream of Envoy's. What was good once is
// served until something better is there: a file that goes away or is half written takes no connection down.
type fileSecrets struct {
	closed []string // folders that are never read from
	log    *slog.Logger
	known  map[string]*fileSecret
}

// fileSecret is what is known about one name.
type fileSecret struct {
	secret      secret
	good        bool
	fingerprint string // what the files looked like when they were last read
	failed      string // why they cannot be used; said once
}

// newFileSecrets never reads in the agent's own folders, whatever links lead there.
func newFileSecrets(own []string, log *slog.Logger) *fileSecrets {
	f := &fileSecrets{log: log, known: map[string]*fileSecret{}}
	for _, folder := range append(own, certfile.Reserved...) {
		f.closed = append(f.closed, folder)
		if real, err := filepath.EvalSymlinks(folder); err == nil && real != folder {
			f.closed = append(f.closed, real)
		}
	}
	return f
}

// get returns the secret of a name, as the files are now.
func (f *fileSecrets) get(name string, files certfile.Files) (secret, bool) {
	s := f.known[name]
	if s == nil {
		s = &fileSecret{}
		f.known[name] = s
	}
	f.refresh(name, files, s)
	return s.secret, s.good
}

func (f *fileSecrets) refresh(name string, files certfile.Files, s *fileSecret) {
	current := fingerprintOf(files)
	if s.good && s.failed == "" && current == s.fingerprint && current != "" {
		return
	}
	fresh, err := f.read(name, files)
	if err != nil {
		if s.failed != err.Error() {
			f.log.Warn("a certificate of a rule cannot be used; connections that need it fail, or go on with the last one that could",
				"name", name, "error", err, "last", s.good)
		}
		s.failed = err.Error()
		return
	}
	if s.failed != "" || s.good && s.secret.version != fresh.version {
		f.log.Info("a certificate of a rule has changed", "name", name)
	}
	*s = fileSecret{secret: fresh, good: true, fingerprint: current}
}

// looksOf changes whenever the files may have; "" when one of them is not there.
func fingerprintOf(files certfile.Files) string {
	var looks string
	for _, path := range []string{files.Certificate, files.Key, files.Authorities, files.Revoked} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return ""
		}
		looks += info.ModTime().String() + strconv.FormatInt(info.Size(), 10)
		if system, ok := info.Sys().(*syscall.Stat_t); ok {
			looks += fmt.Sprintf(" %d %d;", system.Dev, system.Ino)
		}
	}
	return looks
}

// read makes a secret of files, if Envoy can use what is in them.
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

// open reads an ordinary file of the user's. The path is chosen by whoever may write a rule for the server, not by the
// owner of this pod: it must lead neither to the workload's own key and tokens, by whatever links, nor to something that
// blocks or never ends. What is opened is judged, not what the path said a moment before.
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
		return nil, fmt.Errorf("find out where %s leads: %w", path, err)
	}
	if folder := certfile.Within(real, f.closed); folder != "" {
		return nil, fmt.Errorf("%s leads to %s, which is closed to rules", path, folder)
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not an ordinary file", path)
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

// explainMissing says what is wrong with a path in the words that people look for.
func explainMissing(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s does not exist in the proxy: mount it there", at.Path)
	}
	return err
}
