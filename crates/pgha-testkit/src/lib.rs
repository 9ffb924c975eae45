//! A fake API server under the real Kubernetes client, and builders of what it holds.
