//! The service's file: what a service consists of, beyond what its clusters say themselves.

mod backends;
mod backup;
mod change;
mod document;
mod file;
mod login;
mod mistake;
#[cfg(feature = "schema")]
mod schema;
mod source;

pub(crate) use self::backends::{Routed, Traffic, build};
pub(crate) use self::backup::BackupSettings;
pub(crate) use self::change::{Git, Telling};
use self::file::senseless;
pub(crate) use self::file::{Service, Site};
pub(crate) use self::login::LoginSettings;
#[cfg(feature = "schema")]
pub use self::schema::service_schema;
pub(crate) use self::source::{
    Found, Source, may_have, nothing_in, of_config_map, read_path, read_text,
};

#[cfg(test)]
mod tests {
    use pgha_model::application::AppStep;
    use tempfile::TempDir;

    use super::{Service, build, read_path};
    use crate::session::Reach;

    /// What a file of this text says, in a folder of its own.
    fn read(text: &str) -> (TempDir, Service) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgha.yaml");
        std::fs::write(&path, text).unwrap();
        let service = read_path(&path).unwrap().choose(None).unwrap();
        (folder, service)
    }

    /// The files in a document's page.
    fn files_of(page: &str) -> impl Iterator<Item = &str> {
        let blocks = page.split("```yaml\n").skip(1);
        blocks.map(|block| block.split("```").next().unwrap_or_default())
    }

    fn first_of(page: &str) -> (TempDir, Service) {
        read(files_of(page).next().unwrap())
    }

    #[test]
    fn the_file_of_the_application_is_one() {
        let page = include_str!("../../../docs/application.md");
        let (_folder, service) = first_of(page);
        let objects = service.app.iter().filter_map(AppStep::object);
        let objects: Vec<_> = objects.map(|at| at.to_string()).collect();
        assert_eq!(
            objects,
            [
                "job/zitadel-setup",
                "deployment/zitadel",
                "deployment/gateway in prod-gateway",
                "deployment/zitadel",
                "deployment/portal",
                "service/login",
            ]
        );
        assert_eq!(service.app.len(), 8);
    }

    #[test]
    fn the_file_of_the_backup_is_one() {
        let page = include_str!("../../../docs/report.md");
        let backup = first_of(page).1.backup.unwrap();
        assert_eq!(backup.repo.as_deref(), Some("repo2"));
        assert_eq!((backup.limit().as_secs(), backup.verify), (7200, true));
    }

    #[test]
    fn the_file_of_the_login_is_one() {
        let page = include_str!("../../../docs/login.md");
        let (_folder, service) = first_of(page);
        let login = service.login().unwrap().unwrap();
        assert_eq!(
            (login.client_id.as_str(), login.timeout_seconds),
            ("2551@prod", 180)
        );
        assert_eq!(login.expect["groups"], "prod-admin");
    }

    #[test]
    fn the_file_of_the_poolers_is_one() {
        let page = include_str!("../../../docs/poolers.md");
        let (folder, service) = first_of(page);
        let settings = service.poolers[0].settings();
        assert_eq!(
            settings.password_file,
            Some(folder.path().join("pooler-password"))
        );
        assert_eq!(service.poolers[0].host_of("core2"), Some("10.2.0.10"));
    }

    #[test]
    fn every_file_of_desired_state_is_one() {
        let page = include_str!("../../../docs/change.md");
        let mut branches = Vec::new();
        for text in files_of(page) {
            let (_folder, service) = read(text);
            let desired = service.desired().unwrap().unwrap();
            branches.push((desired.at(), desired.is_by_merge_request()));
        }
        let (main, production) = ("origin refs/heads/main", "origin refs/heads/production");
        let expected = [(main, false), (production, true), (main, false)];
        assert_eq!(branches, expected.map(|(at, by)| (at.to_owned(), by)));
    }

    #[test]
    fn every_file_of_the_documents_is_one() {
        let page = include_str!("../../../docs/traffic.md");
        let mut files = 0;
        for text in files_of(page) {
            let (_folder, service) = read(text);
            files += 1;
            let made = build(&service, &Reach::none());
            if cfg!(not(feature = "aws")) && text.contains("- aws:") {
                let said = made.unwrap_err().in_one_line();
                assert!(said.contains("built without AWS"), "{said}");
                continue;
            }
            assert!(!made.unwrap().probes.is_empty());
        }
        assert_eq!(files, 10);
    }
}
