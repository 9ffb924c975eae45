//! Ctrl-C.

use std::future::Future;

use crate::failure::Failure;

/// Does the work, unless Ctrl-C comes first: then the work is dropped where it stands. Only for work that changes
/// nothing.
pub(crate) async fn unless_interrupted<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        result = work => result,
        Ok(()) = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
    }
}
