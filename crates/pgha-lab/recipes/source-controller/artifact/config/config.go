// Package config holds the flags that say where artifacts are kept and served.
package config

import (
	"time"

	"github.com/spf13/pflag"
)

// Options of the store and of its server.
type Options struct {
	// StoragePath is the folder of the artifacts.
	StoragePath string
	// StorageAddress is what the server listens on.
	StorageAddress string
	// StorageAdvAddress is the host and port in the URLs of artifacts.
	StorageAdvAddress string
	// ArtifactDigestAlgo is the hash that names an artifact's content.
	ArtifactDigestAlgo string
	// ArtifactRetentionTTL is how long an artifact is kept that is not the newest.
	ArtifactRetentionTTL time.Duration
	// ArtifactRetentionRecords is how many artifacts are kept, the newest first.
	ArtifactRetentionRecords int
}

// BindFlags adds the flags, with the names and defaults of Flux.
func (o *Options) BindFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.StoragePath, "storage-path", "/data", "The folder of the artifacts.")
	fs.StringVar(&o.StorageAddress, "storage-addr", ":9090", "What the file server listens on.")
	fs.StringVar(&o.StorageAdvAddress, "storage-adv-addr", "", "The host and port in the URLs of artifacts.")
	fs.StringVar(&o.ArtifactDigestAlgo, "artifact-digest-algo", "sha256", "The hash that names an artifact's content.")
	fs.DurationVar(&o.ArtifactRetentionTTL, "artifact-retention-ttl", time.Minute, "How long an artifact is kept that is not the newest.")
	fs.IntVar(&o.ArtifactRetentionRecords, "artifact-retention-records", 2, "How many artifacts are kept.")
}
