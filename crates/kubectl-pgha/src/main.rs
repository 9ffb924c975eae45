//! kubectl plugin that moves a Postgres service between Kubernetes clusters.

fn main() {}
