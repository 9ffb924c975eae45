//! What a member says of itself.

use jiff::Timestamp;
use pgha_model::lsn::Lsn;
use pgha_model::member::{MemberStatus, Role};
use serde::Serialize;

/// A member's description, from its pod or live.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberView {
    pub(crate) role: String,
    pub(crate) state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeline: Option<u32>,
    /// Written by a primary, received by a standby.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lsn: Option<Lsn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed_lsn: Option<Lsn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed_commit_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replication_state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patroni: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_identifier: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    receivers: Vec<ReceiverView>,
}

/// A connection that takes the log from the member.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReceiverView {
    application_name: String,
    state: String,
    sync_state: String,
}

impl From<&MemberStatus> for MemberView {
    fn from(status: &MemberStatus) -> Self {
        Self {
            role: role_word(&status.role),
            state: status.state.clone(),
            timeline: status.timeline.map(|timeline| timeline.0),
            lsn: status.written,
            replayed_lsn: status.replayed,
            replayed_commit_at: status.replayed_at,
            replication_state: status.replication_state.clone(),
            patroni: status.patroni.map(|version| version.to_string()),
            server_version: status.server_version,
            system_identifier: status.system_identifier.clone(),
            receivers: status
                .receivers
                .iter()
                .map(|receiver| ReceiverView {
                    application_name: receiver.application_name.clone(),
                    state: receiver.state.clone(),
                    sync_state: receiver.sync_state.clone(),
                })
                .collect(),
        }
    }
}

impl MemberView {
    /// In one line, for people.
    pub(crate) fn sentence(&self) -> String {
        let mut text = format!("{}, {}", role_text(&self.role), self.state);
        if let Some(timeline) = self.timeline {
            text.push_str(", timeline ");
            text.push_str(&timeline.to_string());
        }
        if let Some(lsn) = self.lsn {
            text.push_str(", ");
            text.push_str(&lsn.to_string());
        }
        text
    }
}

/// A role as programs read it: Patroni's newer words.
pub(crate) fn role_word(role: &Role) -> String {
    match role {
        Role::Primary => "primary".to_owned(),
        Role::StandbyLeader => "standby_leader".to_owned(),
        Role::Replica => "replica".to_owned(),
        Role::Other(word) => word.clone(),
    }
}

/// The same word for people.
pub(crate) fn role_text(word: &str) -> String {
    Role::from(word).to_string()
}
