// Package digest holds the hash that names the content of artifacts.
package digest

import (
	"fmt"

	"github.com/opencontainers/go-digest"
)

// Canonical is the hash of every artifact that is made from now on.
var Canonical = digest.SHA256

// AlgorithmForName returns the hash of this name, or an error when it is not one.
func AlgorithmForName(name string) (digest.Algorithm, error) {
	algorithm := digest.Algorithm(name)
	if !algorithm.Available() {
		return "", fmt.Errorf("digest algorithm %q: %w", name, digest.ErrDigestUnsupported)
	}
	return algorithm, nil
}
