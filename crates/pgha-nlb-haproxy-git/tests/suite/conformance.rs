//! The port's laws.

use async_trait::async_trait;
use pgha_nlb::conformance::{Peer, broken};
use pgha_nlb::{Cutover, SiteName};
use pgha_nlb_haproxy_git::HaproxyGit;

use crate::git::git;
use crate::repository::{FILE, Repository, site};

const PASSWORD: &str = "correct-horse-battery";

struct Server {
    repository: Repository,
    backend: HaproxyGit,
}

impl Server {
    fn new() -> Self {
        let repository = Repository::new();
        let backend = repository.backend();
        // The password is where git puts it: in the address. What is fetched and pushed is the folder all the same.
        let clone = repository.clone();
        let server = repository.server();
        let address = format!("https://operator:{PASSWORD}@git.example.org/control.git");
        git(&clone, &["remote", "set-url", "puppet", &address]);
        let key = format!("url.{}.insteadOf", server.display());
        git(&clone, &["config", &key, &address]);
        Self {
            repository,
            backend,
        }
    }
}

#[async_trait]
impl Peer for Server {
    fn backend(&self) -> &dyn Cutover {
        &self.backend
    }

    fn home(&self) -> SiteName {
        site("core2")
    }

    fn away(&self) -> SiteName {
        site("core1")
    }

    async fn bytes(&self) -> Vec<u8> {
        let files = [FILE, "notes.txt"].map(|file| self.repository.served(file));
        files.concat()
    }

    async fn writes(&self) -> Option<u64> {
        let count = git(
            &self.repository.server(),
            &["rev-list", "--count", "production"],
        );
        count.parse().ok()
    }

    async fn disturb(&self) {
        self.repository
            .push_by_another("notes.txt", |text| text + "b\n");
    }

    async fn split(&self) {
        self.repository.push_by_another(FILE, |text| {
            let rule = "  use_backend core2-https if { req.ssl_sni -i login.ois.run }\n";
            let other = "  use_backend core1-https if { req.ssl_sni -i login.ois.run }\n";
            text.replace(rule, &format!("{rule}{other}"))
        });
    }

    async fn blind(&self) {
        self.repository.push_by_another(FILE, |text| {
            text.replace(
                "core2-http if { hdr(host) -i login.ois.run }",
                "k1-https if { hdr(host) -i login.ois.run }",
            )
        });
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned()]
    }
}

#[tokio::test]
async fn every_law_of_the_port_is_kept() {
    assert_eq!(broken(async || Server::new()).await, []);
}
