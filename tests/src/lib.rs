//! End-to-end suite: drives the shipped programs against the lab.
