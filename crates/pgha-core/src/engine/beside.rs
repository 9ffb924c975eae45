//! A look at the other side right before this one becomes primary.

use pgha_model::guard::Guard;
use pgha_model::member::Role;

use super::{StepError, changed};
use crate::client::SiteClient;
use crate::diagnose::chain_of;
use crate::survey::{Depth, survey_site};

/// Refuses where some member of the other side answers as primary. A side that cannot be asked stands in nobody's way here:
/// whoever comes this far without a proof has been told so.
pub(super) async fn refuse_beside_primary(
    other: &SiteClient,
    cluster: &str,
) -> Result<(), StepError> {
    let Ok(survey) = survey_site(other, cluster, Depth::Members).await else {
        return Ok(());
    };
    let mut members = survey.members.iter();
    let writes = members.find(|member| {
        let live = member.live.as_seen();
        live.is_some_and(|status| status.role == Role::Primary)
    });
    match writes {
        Some(member) if !Guard::BesidePrimary.holds(false) => Err(changed(format!(
            "{} of the other side is primary",
            member.pod
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Refuses unless the other side's leader is a standby's: it may have been promoted since this side was told to stop.
pub(super) async fn refuse_unless_standby(
    other: &SiteClient,
    cluster: &str,
) -> Result<(), StepError> {
    let seen = survey_site(other, cluster, Depth::Members).await;
    let role = seen.as_ref().ok().and_then(|survey| {
        let status = survey.lock_holder()?.freshest().ok()?;
        Some(status.role.clone())
    });
    if Guard::BackBesideStandby.holds(role == Some(Role::StandbyLeader)) {
        return Ok(());
    }
    let seen = role.map_or("not seen".to_owned(), |role| role.to_string());
    Err(changed(format!(
        "the leader of the other side is {seen}: this side stays a standby"
    )))
}

/// The other side was seen to be a standby; a person may have thought about it for a while since.
pub(super) async fn refuse_unless_still_standby(
    peer: &SiteClient,
    cluster: &str,
) -> Result<(), StepError> {
    let survey = survey_site(peer, cluster, Depth::Members).await;
    let survey = survey.map_err(|error| {
        let because = chain_of(&error);
        changed(format!("the other side is not seen any more: {because}"))
    })?;
    if !survey.object.standby {
        return Err(changed(
            "the object of the other side asks for a primary now",
        ));
    }
    let mut members = survey.members.iter();
    let primary = members.find(|member| {
        let status = member.freshest();
        status.is_ok_and(|status| status.role == Role::Primary)
    });
    match primary {
        None => Ok(()),
        Some(member) => Err(changed(format!(
            "{} of the other side is primary now",
            member.pod
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pgha_testkit::FakeCluster;
    use pgha_testkit::pgo::PgoSite;

    use super::*;
    use crate::clock;

    const NAMESPACE: &str = "prod";

    fn client(cluster: &FakeCluster) -> SiteClient {
        SiteClient::from_client("core2", NAMESPACE, cluster.client(), Duration::from_secs(5))
    }

    #[tokio::test]
    async fn nobody_is_promoted_beside_a_primary() {
        let primary = PgoSite::primary("db", NAMESPACE, clock::now()).build();
        let refused = refuse_beside_primary(&client(&primary), "db").await;
        assert!(refused.is_err());
        let standby = PgoSite::standby("db", NAMESPACE, clock::now()).build();
        refuse_beside_primary(&client(&standby), "db")
            .await
            .unwrap();
        refuse_beside_primary(&client(&FakeCluster::new()), "db")
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn nobody_goes_back_unless_the_other_side_is_a_standby() {
        let standby = PgoSite::standby("db", NAMESPACE, clock::now()).build();
        refuse_unless_standby(&client(&standby), "db")
            .await
            .unwrap();
        let primary = PgoSite::primary("db", NAMESPACE, clock::now()).build();
        assert!(
            refuse_unless_standby(&client(&primary), "db")
                .await
                .is_err()
        );
        let unseen = FakeCluster::new();
        assert!(refuse_unless_standby(&client(&unseen), "db").await.is_err());
    }
}
