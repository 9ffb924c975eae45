//! The service's file: what a service consists of, beyond what its clusters say themselves.

mod backends;
mod file;

pub(crate) use self::backends::{Routed, Traffic, build};
pub(crate) use self::file::{Service, Site};

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Service, build};
    use crate::session::Reach;

    #[test]
    fn the_file_of_the_application_is_one() {
        let page = include_str!("../../../docs/application.md");
        let text = page.split("```yaml\n").nth(1).unwrap_or_default();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text.split("```").next().unwrap_or_default()).unwrap();
        let service = Service::read(file.path()).unwrap();
        let steps: Vec<_> = service
            .app
            .iter()
            .map(|step| step.at().to_string())
            .collect();
        assert_eq!(
            steps,
            [
                "deployment/zitadel",
                "deployment/gateway in prod-gateway",
                "deployment/zitadel"
            ]
        );
    }

    #[test]
    fn every_file_of_the_documents_is_one() {
        let page = include_str!("../../../docs/traffic.md");
        let mut files = 0;
        for block in page.split("```yaml\n").skip(1) {
            let text = block.split("```").next().unwrap_or_default();
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            let service = Service::read(file.path()).unwrap();
            files += 1;
            let made = build(&service, Path::new("/srv/pgha.yaml"), &Reach::none());
            if cfg!(not(feature = "aws")) && text.contains("- aws:") {
                let said = made.unwrap_err().in_one_line();
                assert!(said.contains("built without AWS"), "{said}");
                continue;
            }
            assert!(!made.unwrap().probes.is_empty());
        }
        assert_eq!(files, 6);
    }
}
