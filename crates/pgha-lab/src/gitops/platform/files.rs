//! The files of a platform: most are the recipe's, one says what the pair is made of, and one line names its primary.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{Provider, SITE_FILE};
use crate::gitops::git;
use crate::kubectl::Kubectl;
use crate::site::{IMAGE_PAUSE, SERVICE_NAMESPACE, Site};

/// What the line says before the name.
const PRIMARY: &str = "#Platform: primaryCluster: name: ";
/// The file that the lab writes: what a pair is made of.
const LAB_FILE: &str = "platforms/lab.cue";

const FILES: [(&str, &str); 7] = [
    (
        "cue.mod/module.cue",
        include_str!("../../../recipes/platform/cue.mod/module.cue"),
    ),
    (
        SITE_FILE,
        include_str!("../../../recipes/platform/platforms/platform.site.cue"),
    ),
    (
        "platforms/schema.cue",
        include_str!("../../../recipes/platform/platforms/schema.cue"),
    ),
    (
        "platforms/postgres.cue",
        include_str!("../../../recipes/platform/platforms/postgres.cue"),
    ),
    (
        "platforms/app.cue",
        include_str!("../../../recipes/platform/platforms/app.cue"),
    ),
    (
        "platforms/render_tool.cue",
        include_str!("../../../recipes/platform/platforms/render_tool.cue"),
    ),
    (
        "render.sh",
        include_str!("../../../recipes/platform/render.sh"),
    ),
];

/// Writes the files for a pair as it is now, but not the line that names its primary; returns that.
pub(super) fn write(folder: &Path, cluster: &str, provider: Option<&Provider>) -> Result<Site> {
    let mut live = Live::read(cluster)?;
    if let Some(provider) = provider {
        let Provider {
            node,
            folder,
            issuer,
        } = provider;
        live.values["provider"] = json!({"node": node, "folder": folder, "issuer": issuer});
    }
    for (name, content) in FILES {
        write_file(&folder.join(name), content)?;
    }
    write_file(&folder.join(LAB_FILE), &live.file())?;
    Ok(live.primary)
}

/// What a platform must know of a pair to render it as it is.
struct Live {
    primary: Site,
    values: Value,
}

impl Live {
    fn read(cluster: &str) -> Result<Self> {
        let mut sides = Vec::new();
        for site in Site::ALL {
            let found = Kubectl::new(site).find(&["postgrescluster", cluster])?;
            let object = found.with_context(|| format!("{site} has no cluster {cluster}"))?;
            sides.push((site, object));
        }
        Self::of(cluster, &sides)
    }

    fn of(cluster: &str, sides: &[(Site, Value)]) -> Result<Self> {
        let primaries: Vec<Site> = sides
            .iter()
            .filter(|(_, object)| object["spec"]["standby"]["enabled"] == false)
            .map(|(site, _)| *site)
            .collect();
        let [primary] = primaries[..] else {
            bail!(
                "{} sides of {cluster} are to be primary, not one",
                primaries.len()
            );
        };
        let (_, first) = sides.first().context("a pair without sides")?;
        let spec = &first["spec"];
        let mut peers = json!({});
        for (site, object) in sides {
            if let Some(host) = object["spec"]["standby"]["host"].as_str() {
                peers[site.name()] = json!({"host": host});
            }
        }
        let mut values = json!({
            "name": cluster,
            "namespace": SERVICE_NAMESPACE,
            "image": spec["image"],
            "pause": IMAGE_PAUSE,
            "instances": spec["instances"][0]["replicas"],
            "peers": peers,
            "repository": git::url(cluster),
        });
        if let Some(server) = spec["customTLSSecret"]["name"].as_str() {
            let replication = &spec["customReplicationTLSSecret"]["name"];
            values["certificates"] = json!({"server": server, "replication": replication});
        }
        Ok(Self { primary, values })
    }

    /// JSON is CUE.
    fn file(&self) -> String {
        format!("package platforms\n\n#Lab: #Service & {:#}\n", self.values)
    }
}

fn write_file(file: &Path, content: &str) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, content).with_context(|| format!("cannot write {}", file.display()))
}

/// The text with the line naming this site.
pub(super) fn with_primary(text: &str, site: Site) -> Result<String> {
    let (before, rest) = text
        .split_once(PRIMARY)
        .with_context(|| format!("no line `{PRIMARY}\"…\"`"))?;
    let after = rest.split_once('\n').map_or("", |(_, after)| after);
    Ok(format!("{before}{PRIMARY}\"{site}\"\n{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(is_standby: bool, host: Option<&str>) -> Value {
        json!({"spec": {
            "image": "image", "instances": [{"replicas": 2}],
            "standby": {"enabled": is_standby, "host": host},
        }})
    }

    #[test]
    fn one_line_names_the_primary_and_nothing_else_changes() {
        let text = FILES.iter().find(|(name, _)| *name == SITE_FILE).unwrap().1;
        assert_eq!(with_primary(text, Site::Core1).unwrap(), text);
        let other = with_primary(text, Site::Core2).unwrap();
        assert_eq!(other, text.replace("core1", "core2"));
        assert!(with_primary("package platforms\n", Site::Core1).is_err());
    }

    #[test]
    fn a_platform_knows_who_is_primary_and_who_streams() {
        let sides = [
            (Site::Core1, side(true, Some("10.102.96.7"))),
            (Site::Core2, side(false, None)),
        ];
        let live = Live::of("zitadel", &sides).unwrap();
        assert_eq!(live.primary, Site::Core2);
        let peers = json!({"core1": {"host": "10.102.96.7"}});
        assert_eq!(live.values["peers"], peers);
        assert!(
            live.file()
                .starts_with("package platforms\n\n#Lab: #Service & {\n")
        );
    }

    #[test]
    fn a_pair_with_two_primaries_has_no_platform() {
        let sides = Site::ALL.map(|site| (site, side(false, None)));
        let Err(error) = Live::of("zitadel", &sides) else {
            panic!("it has one");
        };
        assert!(
            error.to_string().starts_with("2 sides of zitadel"),
            "{error}"
        );
    }
}
