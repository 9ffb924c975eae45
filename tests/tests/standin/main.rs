//! The traps of the operator, shown on the stand-in with plain kubectl. Each of them was seen on the real operator, and a
//! lab without them would flatter every way of moving a service.
//!
//! The tests share one cluster, one at a time, and each leaves it as a healthy primary. They run only where
//! `PGHA_LAB=1` says that there is a lab.

mod backup;
mod configuration;
mod contract;
mod fixture;
mod gitops;
mod kubectl;
mod password;
mod role;
