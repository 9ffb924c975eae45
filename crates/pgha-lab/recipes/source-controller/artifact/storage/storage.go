// Package storage keeps artifacts in a folder: <kind>/<namespace>/<name>/<file>.
package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/artifact/config"
	canonical "github.com/fluxcd/pkg/artifact/digest"
)

// Storage is the folder of the artifacts, and how they are reached from outside.
type Storage struct {
	options *config.Options
	// locks holds a mutex for each artifact's path: there is one process, and no other writes here.
	locks sync.Map
}

// New returns the store of a folder that exists.
func New(options *config.Options) (*Storage, error) {
	info, err := os.Stat(options.StoragePath)
	if err != nil {
		return nil, fmt.Errorf("the folder of the artifacts: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", options.StoragePath)
	}
	if options.StorageAdvAddress == "" {
		return nil, errors.New("--storage-adv-addr is needed")
	}
	return &Storage{options: options}, nil
}

// NewArtifactFor returns an artifact that has a place and a URL, and no content yet.
func (s *Storage) NewArtifactFor(kind string, object metav1.Object, revision, file string) meta.Artifact {
	place := path.Join(strings.ToLower(kind), object.GetNamespace(), object.GetName(), file)
	artifact := meta.Artifact{Path: place, Revision: revision}
	s.SetArtifactURL(&artifact)
	return artifact
}

// SetArtifactURL makes the URL of the artifact's path.
func (s *Storage) SetArtifactURL(artifact *meta.Artifact) {
	if artifact != nil {
		artifact.URL = fmt.Sprintf("http://%s/%s", s.options.StorageAdvAddress, strings.TrimLeft(artifact.Path, "/"))
	}
}

// SetHostname puts the store's address into a URL; what is no URL stays as it is.
func (s *Storage) SetHostname(text string) string {
	parsed, err := url.Parse(text)
	if err != nil || text == "" {
		return text
	}
	parsed.Host = s.options.StorageAdvAddress
	return parsed.String()
}

// LocalPath is the artifact's file; no path leads out of the store.
func (s *Storage) LocalPath(artifact meta.Artifact) string {
	if artifact.Path == "" {
		return ""
	}
	return filepath.Join(s.options.StoragePath, filepath.FromSlash(path.Clean("/"+artifact.Path)))
}

// MkdirAll makes the artifact's folder.
func (s *Storage) MkdirAll(artifact meta.Artifact) error {
	return os.MkdirAll(filepath.Dir(s.LocalPath(artifact)), 0o755)
}

// Remove removes the artifact's file.
func (s *Storage) Remove(artifact meta.Artifact) error {
	return os.Remove(s.LocalPath(artifact))
}

// RemoveAll removes the artifact's folder and returns it, or "" when there was none.
func (s *Storage) RemoveAll(artifact meta.Artifact) (string, error) {
	folder := filepath.Dir(s.LocalPath(artifact))
	if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return folder, os.RemoveAll(folder)
}

// ArtifactExist says whether the artifact is a file here.
func (s *Storage) ArtifactExist(artifact meta.Artifact) bool {
	info, err := os.Lstat(s.LocalPath(artifact))
	return err == nil && info.Mode().IsRegular()
}

// VerifyArtifact fails when the file has another content than the artifact says.
func (s *Storage) VerifyArtifact(artifact meta.Artifact) error {
	wanted, err := digest.Parse(artifact.Digest)
	if err != nil {
		return fmt.Errorf("the digest of %s: %w", artifact.Path, err)
	}
	file, err := os.Open(s.LocalPath(artifact))
	if err != nil {
		return err
	}
	defer file.Close()
	verifier := wanted.Verifier()
	if _, err := io.Copy(verifier, file); err != nil {
		return err
	}
	if !verifier.Verified() {
		return fmt.Errorf("%s has another content than %s", artifact.Path, wanted)
	}
	return nil
}

// Lock waits for the artifact's turn and returns what ends it.
func (s *Storage) Lock(artifact meta.Artifact) (func(), error) {
	found, _ := s.locks.LoadOrStore(s.LocalPath(artifact), &sync.Mutex{})
	mutex := found.(*sync.Mutex)
	mutex.Lock()
	return mutex.Unlock, nil
}

// Symlink names the artifact by a second name beside it, and returns the URL of that.
func (s *Storage) Symlink(artifact meta.Artifact, name string) (string, error) {
	target := s.LocalPath(artifact)
	link := filepath.Join(filepath.Dir(target), name)
	if err := os.Remove(link + ".new"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err := os.Symlink(filepath.Base(target), link+".new"); err != nil {
		return "", err
	}
	if err := os.Rename(link+".new", link); err != nil {
		return "", err
	}
	second := meta.Artifact{Path: path.Join(path.Dir(artifact.Path), name)}
	s.SetArtifactURL(&second)
	return second.URL, nil
}

// CopyFromPath makes a file the artifact's content.
func (s *Storage) CopyFromPath(artifact *meta.Artifact, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return s.Copy(artifact, file)
}

// Copy makes what is read the artifact's content.
func (s *Storage) Copy(artifact *meta.Artifact, reader io.Reader) error {
	return s.write(artifact, func(writer io.Writer) error {
		_, err := io.Copy(writer, reader)
		return err
	})
}

// CopyToPath is what `spec.include` of a GitRepository needs, which the lab has no use for.
func (s *Storage) CopyToPath(artifact *meta.Artifact, _, _ string) error {
	return fmt.Errorf("the lab's source-controller includes nothing, and %s neither", artifact.Path)
}

// GarbageCollect removes the artifact's older siblings and returns them: those that are too many, and those too old.
func (s *Storage) GarbageCollect(_ context.Context, artifact meta.Artifact, _ time.Duration) ([]string, error) {
	current := s.LocalPath(artifact)
	entries, err := os.ReadDir(filepath.Dir(current))
	if err != nil {
		return nil, err
	}
	var others []os.FileInfo
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && info.Mode().IsRegular() && info.Name() != filepath.Base(current) {
			others = append(others, info)
		}
	}
	sort.Slice(others, func(i, j int) bool { return others[i].ModTime().After(others[j].ModTime()) })
	var removed []string
	for i, info := range others {
		isOld := time.Since(info.ModTime()) > s.options.ArtifactRetentionTTL
		if i+1 < s.options.ArtifactRetentionRecords && !isOld {
			continue
		}
		name := filepath.Join(filepath.Dir(current), info.Name())
		if err := os.Remove(name); err != nil {
			return removed, err
		}
		removed = append(removed, name)
	}
	return removed, nil
}

// write fills a file beside the artifact's, names it as the artifact when it is whole, and tells the artifact what it is now.
func (s *Storage) write(artifact *meta.Artifact, fill func(io.Writer) error) error {
	target := s.LocalPath(*artifact)
	file, err := os.CreateTemp(filepath.Dir(target), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	digester, counter := canonical.Canonical.Digester(), &counter{}
	if err := fill(io.MultiWriter(file, digester.Hash(), counter)); err != nil {
		return err
	}
	if err := errors.Join(file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), target); err != nil {
		return err
	}
	artifact.Digest = digester.Digest().String()
	artifact.LastUpdateTime = metav1.Now()
	artifact.Size = &counter.bytes
	return nil
}

type counter struct{ bytes int64 }

func (c *counter) Write(data []byte) (int, error) {
	c.bytes += int64(len(data))
	return len(data), nil
}
