//! The writer: numbered rows to whichever site accepts them, and a ledger of what was acknowledged.
//!
//! [`program`] is the writer itself, a process of its own that shares no code with pgha; [`start`],
//! [`stop`] and [`status`] are for that process. [`audit`](audit()) reads afterwards what became of
//! the rows on every member of both sites and has `pgha-judge` decide.

mod audit;
mod config;
mod member;
mod process;
#[cfg(feature = "programs")]
pub mod program;
mod service;
mod stored;
mod wal;

pub use audit::{Audit, audit};
pub use config::{Config, Endpoint, PodWatch};
pub use process::{Load, Status, start, status, stop, stop_all};
pub(crate) use service::{endpoints, login};
