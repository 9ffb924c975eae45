//! The reader of services' files, over a text that is in none yet.

use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::thread;

use super::Service;
use crate::failure::Failure;

/// Reads a text as [`Service::read`] reads a file: through a pipe, so that nothing is left behind.
///
/// # Errors
/// As for a file, and where this machine has no `/dev/fd`.
pub(crate) fn read_text(text: &str) -> Result<Service, Failure> {
    let broken =
        |error: io::Error| Failure::unexpected(format!("the text cannot be read back: {error}"));
    let (reader, mut writer) = io::pipe().map_err(broken)?;
    let path = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));
    thread::scope(|scope| {
        // A reader that has enough closes its end, which is the end of this.
        scope.spawn(move || drop(writer.write_all(text.as_bytes())));
        let service = Service::read(&path);
        drop(reader);
        service
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
apiVersion: pgha.dev/v1alpha1
kind: Service
metadata: { name: zitadel }
spec:
  sites:
    - { name: core1, context: core1-admin, cluster: zitadel }
    - { name: core2, context: core2-admin, cluster: zitadel }
";

    #[test]
    fn a_text_is_read_as_a_file_is() {
        assert_eq!(read_text(GOOD).unwrap().name, "zitadel");
        let wrong = read_text(&GOOD.replace("sites:", "site:")).unwrap_err();
        assert!(
            wrong.in_one_line().contains("did you mean `sites`?"),
            "{wrong}"
        );
        // More than a pipe holds, and more than a file may.
        let padded = |bytes: usize| format!("{GOOD}# {}\n", "x".repeat(bytes));
        assert!(read_text(&padded(200_000)).is_ok());
        let long = read_text(&padded(2 << 20)).unwrap_err();
        assert!(long.in_one_line().contains("longer than 1 MiB"), "{long}");
    }
}
