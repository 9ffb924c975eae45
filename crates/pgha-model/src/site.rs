//! Where a Postgres cluster lives.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A Kubernetes place: a kubeconfig context and a namespace, and the operator's Postgres cluster object in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// Name of the kubeconfig context.
    pub context: String,
    /// Kubernetes namespace.
    pub namespace: String,
    /// Name of the operator's Postgres cluster object.
    pub cluster: String,
}

impl Place {
    /// The plugin's command line that does this here: `kubectl pgha promote db -n prod --context core1`.
    pub fn command(&self, verb: &str) -> String {
        format!(
            "kubectl pgha {verb} {} -n {} --context {}",
            self.cluster, self.namespace, self.context
        )
    }

    /// The same, with the other side where it is known; without it the plugin looks for one.
    pub fn command_beside(&self, verb: &str, peer: Option<&Self>) -> String {
        let peer = peer.map_or_else(String::new, |peer| format!(" --peer {}", peer.context));
        self.command(verb) + &peer
    }

    /// The command line of a move from here to the other side: `kubectl pgha resume db -n prod --from core1 --to core2`.
    pub fn command_toward(&self, verb: &str, target: &Self) -> String {
        format!(
            "kubectl pgha {verb} {} -n {} --from {} --to {}",
            self.cluster, self.namespace, self.context, target.context
        )
    }

    /// The command line that shows where the service stands, on both sides where the other one is known.
    pub fn status_command(&self, peer: Option<&Self>) -> String {
        let peer = peer.map_or_else(String::new, |peer| format!(" --context {}", peer.context));
        self.command("status") + &peer
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.namespace, self.cluster, self.context)
    }
}

/// The part a site plays in one move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// The side that is primary before the move.
    Source,
    /// The side that is primary after it.
    Target,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_complete() {
        let place = |context: &str| Place {
            context: context.to_owned(),
            namespace: "prod".to_owned(),
            cluster: "db".to_owned(),
        };
        let (here, peer) = (place("core1"), place("core2"));
        assert_eq!(
            here.command_beside("promote", Some(&peer)),
            "kubectl pgha promote db -n prod --context core1 --peer core2"
        );
        assert_eq!(
            here.command_beside("demote", None),
            "kubectl pgha demote db -n prod --context core1"
        );
        assert_eq!(
            here.status_command(Some(&peer)),
            "kubectl pgha status db -n prod --context core1 --context core2"
        );
    }
}
