//! Edits of texts as people and programs write them.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod corpus;
mod cue;
mod diff;
mod generated;
mod kustomize;
mod yaml;

#[path = "../../../../fuzz/src/yaml_edit.rs"]
mod yaml_edit;

#[path = "../../../../fuzz/src/cue_edit.rs"]
mod cue_edit;

#[path = "../../../../fuzz/src/mutated.rs"]
mod mutated;

#[path = "../../../../fuzz/src/random.rs"]
mod random;
