//! `upgrade`: other images for every member of one side.

use clap::Args;

use super::{CommonArgs, PairArgs, UpkeepArgs};

const EXAMPLES: &str = "\
Examples:
  # What would be done, with the exact patch; nothing is changed
  kubectl pgha upgrade zitadel --context core2 --postgres-image registry.example/postgres:15.15 --dry-run

  # The standby's site first, then the primary's, which is refused before
  kubectl pgha upgrade zitadel --context core2 --postgres-image registry.example/postgres:15.15 \\
    --pgbackrest-image registry.example/pgbackrest:2.57
  kubectl pgha upgrade zitadel --context core1 --postgres-image registry.example/postgres:15.15 \\
    --pgbackrest-image registry.example/pgbackrest:2.57

  # A cluster that has no other side
  kubectl pgha upgrade keycloak --context dev --postgres-image registry.example/postgres:15.15 --alone

The operator replaces one member at a time, replicas first. Where there are several, another one leads
before the leader is replaced; where there is only one, nobody takes writes while its pod is replaced.

A member that does not start with the new images (an image that is not there, a container that ends
again and again) has them taken back: the object says what it said before, and the exit code is 4. A
major version is no upgrade of images: the operator's pods refuse a server of another one.

A release of Postgres reads the log of an older one, and not always that of a newer one: a primary is
upgraded after its standby. Images are compared by their names and tags, and not by their registries.

Where GitOps owns the object, commit the images there, the standby's site first: what the object asks
for already is not written again, and the same command waits for the rollout and proves it.

Ctrl-C before the request is sent ends with 130; after that the operator goes on replacing, and the
exit code is 4. The same command again waits for the rest.";

/// Give every member other images, replicas first and the leader last, and prove by Postgres that all is well
///
/// Refuses a primary whose standby does not run the images yet, in the middle of a move or a backup, while a member is down, and
/// where GitOps or Helm would take it back. Ends when every member runs them and a primary has committed a transaction, or says
/// how far a standby is.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[group(id = "images", required = true, multiple = true, args = ["postgres_image", "pgbackrest_image"])]
pub(crate) struct UpgradeArgs {
    /// The operator's Postgres cluster, of the same name and namespace at both sites; with --file the service of that file
    pub(crate) cluster: String,

    /// The image of Postgres and Patroni (spec.image)
    #[arg(long, value_name = "IMAGE", value_parser = image)]
    pub(crate) postgres_image: Option<String>,

    /// The image of pgBackRest's containers and Jobs (spec.backups.pgbackrest.image)
    #[arg(long, value_name = "IMAGE", value_parser = image)]
    pub(crate) pgbackrest_image: Option<String>,

    #[command(flatten)]
    pub(crate) upkeep: UpkeepArgs,

    /// Change an object that GitOps or Helm owns, although the owner will revert it
    #[arg(long)]
    pub(crate) allow_managed: bool,

    #[command(flatten)]
    pub(crate) pair: PairArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// The name of an image, as far as a registry could have it (OCI distribution specification, "Pulling manifests"). What a node
/// makes of it is seen when its pod starts.
fn image(text: &str) -> Result<String, String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if text.is_empty() || !text.chars().all(is_part) {
        return Err("not the name of an image, such as registry.example/postgres:15.15".to_owned());
    }
    let last = text.rsplit('/').next().unwrap_or(text);
    let (name, tag) = last.split_at(last.find([':', '@']).unwrap_or(last.len()));
    if name.is_empty() || tag.len() == 1 {
        return Err("an image has a name, and after `:` a tag".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_a_name_and_no_white_space() {
        for good in [
            "postgres",
            "postgres:15",
            "registry.example:5000/crunchy/postgres:ubi8-15.4-0",
            "a/b@sha256:0123",
        ] {
            assert_eq!(image(good).as_deref(), Ok(good));
        }
        for wrong in ["", " ", "a b", "a:", "a/", "a/:15", "a\u{7}", "a\nb"] {
            assert!(image(wrong).is_err(), "{wrong:?}");
        }
    }
}
