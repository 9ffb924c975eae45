package storage

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/sourceignore"
	"github.com/fluxcd/pkg/sourceignore/gitignore"
)

// ArchiveFileFilter says whether a file stays out of an archive.
type ArchiveFileFilter func(name string, info os.FileInfo) bool

// SourceIgnoreFilter leaves out what Flux leaves out by itself, and what the patterns name. A nil domain is the root.
func SourceIgnoreFilter(patterns []gitignore.Pattern, domain []string) ArchiveFileFilter {
	matcher := sourceignore.NewDefaultMatcher(patterns, domain)
	return func(name string, info os.FileInfo) bool {
		return matcher.Match(strings.Split(name, string(filepath.Separator)), info.IsDir())
	}
}

// Archive makes a folder the artifact's content, as tar.gz: regular files only, owned by nobody in particular and without
// times, so that one content has one digest.
func (s *Storage) Archive(artifact *meta.Artifact, folder string, isLeftOut ArchiveFileFilter) error {
	return s.write(artifact, func(writer io.Writer) error {
		zip := gzip.NewWriter(writer)
		archive := tar.NewWriter(zip)
		err := filepath.Walk(folder, func(name string, info os.FileInfo, err error) error {
			if err != nil || (!info.IsDir() && !info.Mode().IsRegular()) {
				return err
			}
			if isLeftOut != nil && isLeftOut(name, info) {
				return nil
			}
			return add(archive, folder, name, info)
		})
		return errors.Join(err, archive.Close(), zip.Close())
	})
}

func add(archive *tar.Writer, folder, name string, info os.FileInfo) error {
	relative, err := filepath.Rel(folder, name)
	if err != nil || relative == "." {
		return err
	}
	header, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return err
	}
	header.Name = filepath.ToSlash(relative)
	header.Uid, header.Gid, header.Uname, header.Gname = 0, 0, "", ""
	header.ModTime, header.AccessTime, header.ChangeTime = time.Time{}, time.Time{}, time.Time{}
	if err := archive.WriteHeader(header); err != nil || info.IsDir() {
		return err
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(archive, file)
	return err
}
