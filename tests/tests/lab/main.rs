//! The shipped plugin on real pairs of the lab, with live writers and the auditor.
//!
//! One program, because each one would be linked again; a part of it is chosen by its name (`-- killed::`). Tests share the
//! pairs of `pgha_tests::pair`, leave them well, and take whichever site is primary.

mod application;
mod auditor;
mod backup;
mod deadline;
mod failover;
mod faults;
mod git_faults;
mod gitops;
mod harms;
mod holds;
mod init;
mod interrupt;
mod killed;
mod logins;
mod moves;
mod objects;
mod owned;
mod passwords;
mod poolers;
mod promote;
mod refusals;
mod roles;
mod status;
mod through_git;
mod upgrade;
mod upkeep;
mod upkeep_by_git;
mod users;
mod validate;
/// The web server of the process tests, whose source is the same file.
#[path = "../../../crates/kubectl-pgha/tests/cli/web.rs"]
mod web;
mod window;
