//! Members: which there are to be, which of them run, and their `StatefulSet`s.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use serde_json::json;

use super::member::Member;
use super::name;
use super::reconcile::Turn;
use super::tls::Authority;
use super::types::InstanceSetSpec;

/// The images of a cluster's containers.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    pub(crate) postgres: String,
    pub(crate) pgbackrest: String,
}

impl Turn<'_> {
    /// The images that the object names, or else the environment.
    pub(crate) fn images(&self) -> Result<Images> {
        let spec = &self.pg_cluster.spec;
        let settings = &self.operator.settings;
        let postgres = spec.image.clone().or_else(|| {
            settings
                .postgres_images
                .get(&spec.postgres_version)
                .cloned()
        });
        let pgbackrest = spec
            .backups
            .pgbackrest
            .image
            .clone()
            .or_else(|| settings.pgbackrest_image.clone());
        match (postgres, pgbackrest) {
            (Some(postgres), Some(pgbackrest)) => Ok(Images {
                postgres,
                pgbackrest,
            }),
            (None, _) => bail!("crunchy-postgres image is missing: spec.image is not set"),
            (_, None) => bail!(
                "crunchy-pgbackrest image is missing: spec.backups.pgbackrest.image is not set"
            ),
        }
    }

    /// Makes the members of every instance set what they are to be.
    pub(crate) async fn reconcile_instance_sets(&mut self, authority: &Authority) -> Result<()> {
        self.choose_startup_instance();
        let claims: Vec<PersistentVolumeClaim> = self
            .list(&[("cluster", &self.name), ("role", "pgdata")])
            .await?;
        for set in &self.pg_cluster.spec.instances {
            for member in self.members_of(set, &claims)? {
                self.reconcile_member(authority, set, &member).await?;
            }
        }
        self.remove_surplus_members().await?;
        self.roll_out().await?;
        self.report_instance_sets();
        Ok(())
    }

    /// While shut down, remembers who led; that member starts first again. Without a pod that is labelled the leader
    /// nothing is remembered, and so nothing is stopped.
    fn choose_startup_instance(&mut self) {
        let leader = self
            .members
            .iter()
            .find(|member| member.is_labelled_leader());
        if let Some(leader) = leader {
            let shut_down = self.pg_cluster.spec.is_shut_down();
            self.status.startup_instance = shut_down.then(|| leader.name.clone());
            self.status.startup_instance_set = shut_down.then(|| leader.set.clone());
        }
    }

    /// Names of a set's members: those that are there, then those whose volume is there, then new ones.
    fn members_of(
        &self,
        set: &InstanceSetSpec,
        claims: &[PersistentVolumeClaim],
    ) -> Result<Vec<String>> {
        let mut names: Vec<String> = self
            .members
            .iter()
            .filter(|it| it.set == set.name && it.stateful_set.is_some())
            .map(|it| it.name.clone())
            .collect();
        let mut idle: Vec<String> = claims
            .iter()
            .filter(|claim| {
                claim.metadata.deletion_timestamp.is_none()
                    && claim.labels().get(&name::key("instance-set")) == Some(&set.name)
            })
            .filter_map(|claim| claim.labels().get(&name::key("instance")).cloned())
            .filter(|name| !names.contains(name))
            .collect();
        let wanted = set.replicas.unwrap_or(1) as usize;
        while names.len() < wanted {
            let next = match idle.pop() {
                Some(name) => name,
                None => format!("{}-{}-{}", self.name, set.name, name::random_suffix(4)?),
            };
            if !names.contains(&next) {
                names.push(next);
            }
        }
        Ok(names)
    }

    async fn reconcile_member(
        &self,
        authority: &Authority,
        set: &InstanceSetSpec,
        member: &str,
    ) -> Result<()> {
        self.reconcile_member_config(member, &set.name).await?;
        self.reconcile_member_certificate(authority, member, &set.name)
            .await?;
        self.reconcile_data_volume(set, member).await?;

        let identity = [
            ("cluster", self.name.as_str()),
            ("instance-set", &set.name),
            ("instance", member),
        ];
        let labels = name::labels(&[&identity[..], &[("data", "postgres")]].concat());
        let body = json!({"spec": {
            "replicas": self.replicas_of(member),
            "revisionHistoryLimit": 0,
            "serviceName": format!("{}-pods", self.name),
            "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": name::labels(&identity)},
            "template": self.pod_template(member, &labels)?,
        }});
        self.apply::<StatefulSet>(member, &labels, body).await?;
        Ok(())
    }

    /// One, except while shut down: then the others stop at once, and the leader once it is alone.
    fn replicas_of(&self, member: &str) -> u32 {
        let pods = self.members.iter().filter(|it| it.pod.is_some()).count();
        replicas(
            self.status.startup_instance.as_deref(),
            member,
            self.pg_cluster.spec.is_shut_down(),
            pods,
        )
    }

    async fn reconcile_data_volume(&self, set: &InstanceSetSpec, member: &str) -> Result<()> {
        let labels = name::labels(&[
            ("cluster", &self.name),
            ("instance-set", &set.name),
            ("instance", member),
            ("role", "pgdata"),
            ("data", "postgres"),
        ]);
        let body = json!({"spec": set.data_volume_claim_spec});
        self.apply::<PersistentVolumeClaim>(&format!("{member}-pgdata"), &labels, body)
            .await?;
        Ok(())
    }

    /// Removes members beyond the wanted number, never the leader as long as one is wanted.
    async fn remove_surplus_members(&self) -> Result<()> {
        let sets = &self.pg_cluster.spec.instances;
        let keep: BTreeSet<String> = sets
            .iter()
            .flat_map(|set| kept(&self.members, set))
            .collect();
        for member in self.members.iter().filter(|it| it.pod.is_some()) {
            if !keep.contains(&member.name) {
                self.delete::<StatefulSet>(&member.name).await?;
                self.delete::<PersistentVolumeClaim>(&format!("{}-pgdata", member.name))
                    .await?;
                self.delete::<k8s_openapi::api::core::v1::ConfigMap>(&format!(
                    "{}-config",
                    member.name
                ))
                .await?;
                self.delete::<k8s_openapi::api::core::v1::Secret>(&format!(
                    "{}-certs",
                    member.name
                ))
                .await?;
            }
        }
        Ok(())
    }
}

fn replicas(startup: Option<&str>, member: &str, shut_down: bool, pods: usize) -> u32 {
    match startup {
        None => 1,
        Some(startup) if startup != member => 0,
        Some(_) => u32::from(!(shut_down && pods <= 1)),
    }
}

/// Of a set's members that have a pod, the leader first, as many as are wanted.
fn kept(members: &[Member], set: &InstanceSetSpec) -> Vec<String> {
    let of_set = || {
        members
            .iter()
            .filter(|it| it.set == set.name && it.pod.is_some())
    };
    let leaders = of_set().filter(|it| it.is_labelled_leader());
    let others = of_set().filter(|it| !it.is_labelled_leader());
    let wanted = set.replicas.unwrap_or(1) as usize;
    leaders
        .chain(others)
        .take(wanted)
        .map(|it| it.name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shutdown_stops_the_others_first_and_the_leader_last() {
        assert_eq!(
            replicas(None, "a", true, 2),
            1,
            "no leader seen: nothing stops"
        );
        assert_eq!(replicas(Some("a"), "b", true, 2), 0);
        assert_eq!(replicas(Some("a"), "a", true, 2), 1);
        assert_eq!(replicas(Some("a"), "a", true, 1), 0);
    }

    #[test]
    fn a_start_brings_the_former_leader_alone() {
        assert_eq!(replicas(Some("a"), "a", false, 0), 1);
        assert_eq!(replicas(Some("a"), "b", false, 0), 0);
        assert_eq!(replicas(None, "b", false, 1), 1, "the leader was seen");
    }
}
