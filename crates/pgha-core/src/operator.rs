//! What each operator's objects say, and how they are asked to change: the only place where operators differ.

pub mod pgo_v5;
