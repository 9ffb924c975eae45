//! What other images for every member must pass.

use jiff::Timestamp;

use super::{Consent, PeerSight, SideFacts, judge_object_by, judge_restart, role_of};
use crate::finding::Findings;
use crate::member::Role;
use crate::site::{Part, Place};
use crate::survey::Images;

/// The checks of the object that a restart does without, which writes none.
const OF_OBJECT: [&str; 2] = ["not-managed", "owner-held"];

/// Checks an upgrade of this side; it may start when nothing fails. `record` says why the record of moves was not seen.
pub fn judge_upgrade(
    side: &SideFacts,
    record: Result<(), &str>,
    peer: PeerSight<'_>,
    images: &Images,
    consent: Consent,
    now: Timestamp,
) -> Findings {
    let mut findings = judge_restart(side, record, now);
    judge_object_by(
        &OF_OBJECT,
        Part::Source,
        &side.survey,
        consent,
        &mut findings,
    );
    judge_standby_first(side, peer, images, &mut findings);
    findings
}

/// A newer release reads the log of an older one; the other way round nobody promises it (PostgreSQL documentation, "Log-Shipping
/// Standby Servers", Planning: update the standbys first).
fn judge_standby_first(
    side: &SideFacts,
    peer: PeerSight<'_>,
    images: &Images,
    findings: &mut Findings,
) {
    if role_of(&side.survey) != Some(Role::Primary) {
        return;
    }
    let advice = "Upgrade the standby first: it then reads what this side writes, whichever of both is newer.";
    match peer {
        PeerSight::Absent => {}
        PeerSight::Unseen(because) => findings.warn_if(
            "standby-first",
            Part::Target,
            Some(format!(
                "Whether a standby elsewhere runs these images already was not seen: {because}."
            )),
            advice,
        ),
        PeerSight::Seen(peer) => {
            let members = peer.survey.members.iter();
            let mut behind = members.filter(|member| !member.images.have_names_of(images));
            let is_standby = peer.survey.object.standby;
            let seen = behind.next().filter(|_| is_standby).map(|member| {
                format!(
                    "{} of {}, which replays what this side writes, does not run these images. Upgrade it before: `{}`.",
                    member.pod,
                    peer.survey.place,
                    command(&peer.survey.place, images)
                )
            });
            findings.fail_if("standby-first", Part::Target, seen, advice);
        }
    }
}

/// The command that asks for these images at a place.
fn command(place: &Place, images: &Images) -> String {
    let flag = |flag: &str, image: &Option<String>| {
        let image = image.as_deref();
        image.map_or_else(String::new, |image| format!(" {flag} {image}"))
    };
    format!(
        "{}{}{}",
        place.command("upgrade"),
        flag("--postgres-image", &images.postgres),
        flag("--pgbackrest-image", &images.pgbackrest)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::samples::{Sample, images};
    use crate::finding::Severity;
    use crate::service::samples::{helm_release, now};

    fn judged(side: &SideFacts, peer: PeerSight<'_>, consent: Consent) -> Findings {
        let asked = images("registry/postgres:2");
        judge_upgrade(side, Ok(()), peer, &asked, consent, now())
    }

    fn failing(sample: &Sample) -> Vec<&'static str> {
        let peer = PeerSight::Seen(&sample.target);
        let findings = judged(&sample.source, peer, sample.consent);
        findings.failures().map(|finding| finding.check).collect()
    }

    #[test]
    fn a_primary_waits_for_its_standby() {
        let mut sample = Sample::healthy();
        assert_eq!(failing(&sample), ["standby-first"]);
        // The same image from another registry.
        sample.target.survey.members[0].images = images("mirror.of/the/postgres:2");
        assert_eq!(failing(&sample), Vec::<&str>::new());
        sample.target.survey.members[0].images = images("registry/postgres:1");
        let peer = PeerSight::Seen(&sample.source);
        let standby = judged(&sample.target, peer, sample.consent);
        assert_eq!(standby.failures().count(), 0);
    }

    #[test]
    fn a_standby_that_was_not_seen_is_told_and_where_there_is_none_nothing_is() {
        let sample = Sample::healthy();
        let told = |peer| {
            let findings = judged(&sample.source, peer, sample.consent);
            assert_eq!(findings.failures().count(), 0);
            let mut all = findings.0.into_iter();
            all.find(|one| one.check == "standby-first" && one.severity == Severity::Warn)
        };
        let seen = told(PeerSight::Unseen("forbidden")).unwrap().seen;
        assert!(seen.contains("forbidden"), "{seen}");
        assert_eq!(told(PeerSight::Absent), None);
    }

    #[test]
    fn an_owner_that_takes_it_back_forbids_it() {
        let mut sample = Sample::healthy();
        sample.target.survey.members[0].images = images("postgres:2");
        sample.source.survey.object.owners = vec![helm_release()];
        assert_eq!(failing(&sample), ["not-managed"]);
        sample.consent.managed = true;
        assert_eq!(failing(&sample), Vec::<&str>::new());
    }
}
