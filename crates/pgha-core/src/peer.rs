//! Finding the other sides of a service among the contexts of a kubeconfig.

use futures::stream::{self, StreamExt as _};

use crate::client::{CallKind, SiteClient};
use crate::diagnose::chain_of;
use crate::operator::pgo_v5;

/// How many API servers are asked at the same time.
const AT_ONCE: usize = 8;

/// What the contexts lead to.
#[derive(Default)]
pub struct PeerSearch {
    /// The other sides of the service, one for each object.
    pub found: Vec<SiteClient>,
    /// The contexts behind which another side may be: name, and why it is not known.
    pub unseen: Vec<(String, String)>,
}

/// One context's answer.
enum Answer {
    Peer { uid: String },
    Another,
    Unknown(String),
}

/// Asks each site for a cluster of this name with this system identifier that is another object than `own_uid`. Several
/// contexts that lead to one object count once.
pub async fn find_peers(
    sites: Vec<SiteClient>,
    cluster: &str,
    system_identifier: &str,
    own_uid: &str,
) -> PeerSearch {
    let answers = sites.into_iter().map(|site| async move {
        let answer = ask(&site, cluster, system_identifier).await;
        (site, answer)
    });
    let answers: Vec<_> = stream::iter(answers).buffered(AT_ONCE).collect().await;
    let mut search = PeerSearch::default();
    let mut uids = vec![own_uid.to_owned()];
    for (site, answer) in answers {
        match answer {
            Answer::Peer { uid } if !uids.contains(&uid) => {
                uids.push(uid);
                search.found.push(site);
            }
            Answer::Peer { .. } | Answer::Another => {}
            Answer::Unknown(because) => search.unseen.push((site.context, because)),
        }
    }
    search
}

async fn ask(site: &SiteClient, cluster: &str, system_identifier: &str) -> Answer {
    let api = site.objects(&pgo_v5::resource());
    let object = format!("postgrescluster {cluster}");
    match site.call("get", &object, api.get(cluster)).await {
        Ok(object) => {
            let object = pgo_v5::read_object(&object);
            match object.system_identifier.as_deref() {
                Some(identifier) if identifier == system_identifier => {
                    Answer::Peer { uid: object.uid }
                }
                Some(_) => Answer::Another,
                None => Answer::Unknown("its object does not say a system identifier".to_owned()),
            }
        }
        Err(error) if error.kind == CallKind::NotFound => Answer::Another,
        Err(error) => Answer::Unknown(chain_of(&error)),
    }
}
