//! A repository of desired state as the server, and the user's clone of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgha_desired::{Desired, Mistake, Patience, Place, Settings};
use pgha_model::site::Part;
use tempfile::TempDir;

use crate::git::{configure, git, hook, program};

pub(crate) const OPERATION: &str = "01JDESIRED";
pub(crate) const SITE_FILE: &str = "platforms/platform.site.cue";

/// A platform as Holos has it, and its settings.
pub(crate) const HOLOS: &str = "\
way: git
repository: clone
edits:
  - { file: platforms/platform.site.cue, field: '#Platform.primaryCluster.name' }
render:
  command: [./render.sh]
  paths: { core1: ['deploy/clusters/core1/**'], core2: ['deploy/clusters/core2/**'] }
expect:
  - { apiVersion: apps/v1, kind: Deployment, name: app, at: [/metadata/annotations] }
";

/// A manifest for each site, and settings for that.
pub(crate) const PLAIN: &str = "\
way: git
repository: clone
edits:
  - { site: core1, file: clusters/core1/pg.yaml, object: { name: zitadel } }
  - { site: core2, file: clusters/core2/pg.yaml, object: { name: zitadel } }
";

/// Renders as CUE would: whole files, with keys in another order for a standby.
const RENDER: &str = r#"
cd "$(dirname "$0")"
primary=$(sed -n 's/.*primaryCluster: name: "\(.*\)".*/\1/p' platforms/platform.site.cue)
for cluster in core1 core2; do
  folder="deploy/clusters/$cluster"
  mkdir -p "$folder"
  if [ "$cluster" = "$primary" ]; then
    printf 'apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app\nspec:\n  replicas: 2\n' > "$folder/app.yaml"
    enabled=false
    source="  dataSource:
    pgbackrest:
      options: [$OPTIONS]
"
  else
    printf 'metadata:\n  name: app\n  annotations: {"kustomize.toolkit.fluxcd.io/reconcile": disabled}\napiVersion: apps/v1\nkind: Deployment\nspec:\n  replicas: 2\n' > "$folder/app.yaml"
    enabled=true
    source=''
  fi
  cat > "$folder/pg.yaml" <<END
apiVersion: postgres-operator.crunchydata.com/v1beta1
kind: PostgresCluster
metadata: { name: zitadel, namespace: prod }
spec:
$source  standby: { enabled: $enabled, repoName: repo1 }
END
done
"#;

pub(crate) struct House {
    folder: TempDir,
}

fn manifest(is_standby: bool) -> String {
    format!(
        "# Mine.\nkind: Secret\napiVersion: v1\nmetadata: {{ name: s }}\n---\napiVersion: postgres-operator.crunchydata.com/v1beta1\n\
         kind: PostgresCluster\nmetadata:\n  name: zitadel\nspec:\n  standby:\n    enabled: {is_standby}   # who follows\n"
    )
}

impl House {
    pub(crate) fn new() -> Self {
        let house = Self {
            folder: TempDir::new().unwrap(),
        };
        let (server, clone) = (house.server(), house.clone());
        fs::create_dir_all(&server).unwrap();
        git(
            &server,
            &["init", "--quiet", "--bare", "--initial-branch=main"],
        );
        fs::create_dir_all(&clone).unwrap();
        git(&clone, &["init", "--quiet", "--initial-branch=work"]);
        configure(&clone);
        git(
            &clone,
            &["remote", "add", "origin", server.to_str().unwrap()],
        );
        house.write(SITE_FILE, "package platforms\n\n// Where writes go.\n#Platform: primaryCluster: name: \"core2\"\n");
        house.write("clusters/core1/pg.yaml", &manifest(true));
        house.write("clusters/core2/pg.yaml", &manifest(false));
        house.write("notes.txt", "a\n");
        house.script(RENDER);
        git(&clone, &["config", "alias.render", "!./render.sh"]);
        git(&clone, &["render"]);
        git(&clone, &["add", "."]);
        git(&clone, &["commit", "--quiet", "--message", "Begin"]);
        git(&clone, &["push", "--quiet", "origin", "HEAD:main"]);
        house
    }

    fn script(&self, script: &str) {
        program(self.folder.path(), &self.clone().join("render.sh"), script);
    }

    /// Has the render do something else from now on, as somebody has pushed it.
    pub(crate) fn render_with(&self, more: &str) {
        self.script(&format!("{RENDER}\n{more}"));
        git(
            &self.clone(),
            &["commit", "--quiet", "--all", "--message", "render"],
        );
        git(&self.clone(), &["push", "--quiet", "origin", "HEAD:main"]);
    }

    pub(crate) fn server(&self) -> PathBuf {
        self.path("server.git")
    }

    pub(crate) fn clone(&self) -> PathBuf {
        self.path("clone")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the clone.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let file = self.clone().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    pub(crate) fn hook(&self, of: &Path, name: &str, script: &str) {
        hook(self.folder.path(), of, name, script);
    }

    pub(crate) fn tip(&self) -> String {
        git(&self.server(), &["rev-parse", "refs/heads/main"])
    }

    /// A file as the branch has it.
    pub(crate) fn branch_has(&self, path: &str) -> String {
        git(&self.server(), &["show", &format!("main:{path}")])
    }

    /// What the newest commits of the branch touch: a subject, then its files, for each.
    pub(crate) fn log(&self, count: &str) -> String {
        let list = ["log", "-n", count, "--format=%s", "--name-only", "main"];
        git(&self.server(), &list)
    }

    /// Another person's commit on the branch.
    pub(crate) fn push_by_another(&self, path: &str, text: &str) -> String {
        let other = self.path("other");
        if !other.exists() {
            let (server, to) = (self.server(), other.to_str().unwrap().to_owned());
            git(
                self.folder.path(),
                &["clone", "--quiet", server.to_str().unwrap(), &to],
            );
            configure(&other);
        }
        git(&other, &["pull", "--quiet", "--ff-only"]);
        fs::write(other.join(path), text).unwrap();
        git(&other, &["add", "."]);
        git(&other, &["commit", "--quiet", "--message", "by another"]);
        git(&other, &["push", "--quiet", "origin", "HEAD:main"]);
        self.tip()
    }

    pub(crate) fn desired(&self, settings: &str) -> Desired {
        desired(settings, self.folder.path()).unwrap().unwrap()
    }
}

/// What settings mean for the two sites.
pub(crate) fn desired(settings: &str, folder: &Path) -> Result<Option<Desired>, Mistake> {
    let settings: Settings = serde_saphyr::from_str(settings).unwrap();
    let place = |site: &str| Place {
        site: site.into(),
        namespace: Some("prod".to_owned()),
        cluster: "zitadel".to_owned(),
    };
    let patience = Patience {
        git: Duration::from_mins(1),
        render: Duration::from_mins(1),
    };
    settings.desired(folder, &[place("core1"), place("core2")], patience)
}

/// A move from core2 to core1.
pub(crate) fn change(desired: &Desired) -> pgha_desired::Change<'_> {
    let change = desired.change("zitadel", &"core2".into(), &"core1".into());
    change.unwrap()
}

/// Commits both parts.
pub(crate) async fn move_it(desired: &Desired) {
    for part in [Part::Source, Part::Target] {
        change(desired).commit(part, OPERATION).await.unwrap();
    }
}
