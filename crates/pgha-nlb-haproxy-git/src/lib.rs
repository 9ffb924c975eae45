//! Moves users by HAProxy rules and maps that are kept in a git repository.
//!
//! The branch of the remote is what counts: its commit is the fence. A change is one commit that touches the named files and
//! nothing else, made in a temporary checkout beside the user's clone (so that the user's hooks, name and signature apply),
//! and pushed with a lease on the commit that the plan rests on, never by force alone. What the branch then makes of it (a
//! hook that renders and reloads) is not seen from here: a probe proves it.

mod backend;
mod program;

use std::path::PathBuf;

use pgha_git::{Branch, is_path, is_word};
use pgha_haproxy::Spot;
use pgha_nlb::{BackendId, RouteName, SiteValues, refuse_twins};
use serde::Deserialize;

pub use backend::HaproxyGit;

/// Where the rules are, and what is to be done with them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The backend's name.
    pub id: BackendId,
    /// A clone of the repository on this machine. Nothing in its working tree, its index or its branches is changed.
    pub checkout: PathBuf,
    /// The name of the clone's remote. Not an address, which could hold a password.
    pub remote: String,
    /// The branch of the remote.
    pub branch: String,
    /// What the server's hooks are told, `run=netlb`.
    #[serde(default)]
    pub push_options: Vec<String>,
    /// The configuration, or the template of it, by its path in the repository. Backends are looked up in it.
    pub config: String,
    /// The routes; all are changed in one commit.
    pub routes: Vec<RouteSettings>,
    /// A program and its arguments that writes the configuration made from a template to its output; `{file}` is the
    /// template in the temporary checkout, where it runs.
    #[serde(default)]
    pub render: Vec<String>,
    /// A program and its arguments that ends badly for a bad configuration, `haproxy -c -f {file}`.
    #[serde(default)]
    pub check: Vec<String>,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteSettings {
    /// Its name.
    pub name: RouteName,
    /// The host that users ask for.
    pub host: String,
    /// Where it is written down.
    pub spot: Spot,
    /// The HAProxy backend of each site.
    pub sites: SiteValues,
}

impl Settings {
    /// The branch that they are about, if git, HAProxy and a shell take every word for what it is.
    fn branch(&self) -> Result<Branch, String> {
        let bad = |because: &str| Err(because.to_owned());
        let checkout = self.checkout.clone();
        let branch = Branch::new(checkout, &self.remote, &self.branch, &self.push_options)
            .map_err(|error| error.to_string())?;
        if self.routes.is_empty() {
            return bad("it has no `routes`");
        }
        if !self.files().all(is_path) {
            return bad("`config` and maps are named by their paths in the repository");
        }
        refuse_twins(self.routes.iter().map(|route| &route.name))?;
        let is_plain = |route: &RouteSettings| {
            is_word(&route.host) && route.sites.iter().all(|(_, value)| is_word(value))
        };
        if self.routes.iter().all(is_plain) {
            Ok(branch)
        } else {
            bad("hosts and backends are of letters, digits and `-_.:`")
        }
    }

    /// The file that a route is in.
    fn file_of<'a>(&'a self, route: &'a RouteSettings) -> &'a str {
        match &route.spot {
            Spot::Rule { .. } => &self.config,
            Spot::Map { file } => file,
        }
    }

    /// Every file that is read, the configuration first.
    fn files(&self) -> impl Iterator<Item = &str> {
        let mut files = vec![self.config.as_str()];
        for route in &self.routes {
            let file = self.file_of(route);
            if !files.contains(&file) {
                files.push(file);
            }
        }
        files.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> serde_json::Value {
        serde_json::json!({
            "id": "nlb", "checkout": "/srv/control", "remote": "puppet", "branch": "production",
            "pushOptions": ["run=netlb"], "config": "haproxy/haproxy.cfg.epp",
            "routes": [{
                "name": "https", "host": "login.ois.run",
                "spot": {"rule": {"frontend": "sni-ingress", "by": "sni"}},
                "sites": {"core1": "core1-https", "core2": "core2-https"},
            }],
        })
    }

    fn refusal(pointer: &str, value: &str) -> String {
        let mut settings = settings();
        *settings.pointer_mut(pointer).unwrap() = value.into();
        let settings: Settings = serde_json::from_value(settings).unwrap();
        settings.branch().unwrap_err()
    }

    #[test]
    fn the_runbooks_settings_are_good() {
        let settings: Settings = serde_json::from_value(settings()).unwrap();
        assert!(settings.branch().is_ok());
    }

    #[test]
    fn what_git_or_haproxy_would_take_for_something_else_is_refused() {
        for (pointer, value, words) in [
            ("/remote", "https://me:secret@host/x.git", "`remote`"),
            ("/remote", "--upload-pack=x", "`remote`"),
            ("/branch", "a..b", "`branch`"),
            ("/branch", "-x", "`branch`"),
            ("/config", "../haproxy.cfg", "`config`"),
            ("/config", "/etc/haproxy.cfg", "`config`"),
            ("/config", ".git/config", "`config`"),
            ("/routes/0/host", "a b", "hosts"),
            ("/routes/0/sites/core1", "x if TRUE\n", "backends"),
        ] {
            let said = refusal(pointer, value);
            assert!(said.contains(words), "{pointer} {value}: {said}");
        }
    }
}
