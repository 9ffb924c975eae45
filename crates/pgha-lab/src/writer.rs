//! The writer: numbered rows to whichever site accepts them, and a ledger of what was acknowledged.
//!
//! [`program`] is the writer itself, a process of its own that shares no code with pgha; the rest
//! starts and stops it and audits afterwards what became of its rows.

mod config;
#[cfg(feature = "programs")]
pub mod program;

pub use config::{Config, Endpoint, PodWatch};
