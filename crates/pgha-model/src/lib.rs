//! Vocabulary and decisions of a Postgres move between two sites.
//!
//! Everything here is pure: no I/O, no clock, no randomness, no async. Facts come in as values, decisions go out as
//! values. Reading a cluster, changing it and showing it are other crates' work.

pub mod control;
pub mod effect;
pub mod leader;
pub mod lsn;
pub mod member;
pub mod observed;
pub mod site;
pub mod survey;
pub mod timeline;
