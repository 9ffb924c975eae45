//! kubectl plugin that moves a Postgres service between Kubernetes clusters.

fn main() -> std::process::ExitCode {
    kubectl_pgha::run(std::env::args_os().collect())
}
