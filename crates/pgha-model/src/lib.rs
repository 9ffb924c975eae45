//! Vocabulary and decisions of a Postgres move between two sites.
//!
//! Everything here is pure: no I/O, no clock, no randomness, no async. Facts come in as values, decisions go out as
//! values. Reading a cluster, changing it and showing it are other crates' work.

pub mod application;
pub mod backup;
pub mod check;
pub mod control;
pub mod deadline;
pub mod demotion;
pub mod effect;
pub mod event;
pub mod failover;
pub mod finding;
pub mod follow;
pub mod guard;
pub mod handover;
pub mod leader;
pub mod login;
pub mod lsn;
pub mod machine;
pub mod member;
pub mod notice;
pub mod observed;
pub mod owner;
pub mod plan;
pub mod postgres;
pub mod promotion;
pub mod proof;
pub mod record;
pub mod rejoin;
pub mod reset;
pub mod restart;
pub mod runbook;
pub mod schedule;
mod seconds;
pub mod secret;
pub mod service;
pub mod shutdown;
pub mod site;
pub mod standstill;
pub mod startup;
pub mod survey;
pub mod text;
pub mod timeline;
pub mod unfinished;
pub mod upgrade;
