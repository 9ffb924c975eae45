//! Logging in as a program does: over TCP, as each user of the object, through the services that lead to the primary.
//!
//! A password goes from its Secret into the standard input of a command in a database container, and nowhere else.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use pgha_model::login::{Login, Logins};
use serde_json::Value;
use tokio::time::timeout;

use crate::client::{CallKind, SiteClient};
use crate::diagnose::{chain_of, sanitised};
use crate::exec::{self, Container, ExecError, Output, Process};
use crate::operator::pgo_v5::secret::{user_secret, users};
use crate::operator::pgo_v5::service::{Service, writable_services};

/// Tries logins that are given to it as lines.
const TRY: &str = include_str!("login.sh");

/// What one login may take beyond the limit of all: `psql` is stopped after 5 s.
const LAST_ATTEMPT: Duration = Duration::from_secs(6);

/// Where a user without a database of its own is let in.
const COMMON_DATABASE: &str = "postgres";

/// What one user logs in with. It has no `Debug`: it holds a password.
struct Credentials {
    user: String,
    database: String,
    password: Vec<u8>,
}

/// Whose logins are tried, from where.
pub struct Programs {
    /// The site whose services and Secrets are used.
    pub site: SiteClient,
    /// The operator's cluster.
    pub cluster: String,
    /// The operator's object as it was read last.
    pub object: Value,
    /// The database container in which the clients run.
    pub inside: Container,
}

impl Programs {
    /// Commits a transaction that changes nothing as each user through each service, each tried until it works or the
    /// limit is over. What cannot be tried is said.
    pub async fn log_in(self, limit: Duration) -> Logins {
        let users = users(&self.cluster, &self.object);
        let read = users.iter().map(|user| self.fetch(user));
        let read = join_all(read).await;
        self.try_each(read, &self.services(), limit).await
    }

    /// The same as one user.
    pub(crate) async fn log_in_as(&self, user: &str, limit: Duration) -> Logins {
        let read = vec![self.fetch(user).await];
        self.try_each(read, &self.services(), limit).await
    }

    /// Tries once, through the primary's own service, to log in as one user with a password that is in no Secret any more.
    pub(crate) async fn log_in_with(&self, user: &str, password: &[u8]) -> Logins {
        let read = self.fetch(user).await.map(|who| Credentials {
            password: password.to_vec(),
            ..who
        });
        let services = self.services();
        let primary = services.get(..1).unwrap_or_default();
        self.try_each(vec![read], primary, Duration::ZERO).await
    }

    fn services(&self) -> Vec<Service> {
        writable_services(&self.cluster, &self.object)
    }

    async fn try_each(
        &self,
        read: Vec<Result<Credentials, String>>,
        services: &[Service],
        limit: Duration,
    ) -> Logins {
        let mut credentials = Vec::new();
        let mut unchecked = Vec::new();
        for read in read {
            match read {
                Ok(read) => credentials.push(read),
                Err(because) => unchecked.push(because),
            }
        }
        let asked: Vec<_> = credentials
            .iter()
            .flat_map(|who| services.iter().map(move |service| (who, service)))
            .collect();
        let tried = if asked.is_empty() {
            Vec::new()
        } else {
            match self.attempt(&asked, limit).await {
                Ok(output) => read_answers(&asked, &output.stdout),
                Err(error) => {
                    unchecked.push(format!("No login was tried: {}.", chain_of(&error)));
                    Vec::new()
                }
            }
        };
        Logins { tried, unchecked }
    }

    /// Reads one user's Secret; the reason, as a full sentence, when it cannot be logged in with.
    async fn fetch(&self, user: &str) -> Result<Credentials, String> {
        let name = user_secret(&self.cluster, user);
        let object = format!("secret {name}");
        let api: Api<Secret> = Api::namespaced(self.site.client.clone(), &self.site.namespace);
        let read = self.site.call("get", &object, api.get(&name));
        let secret = read.await.map_err(|error| {
            if error.kind == CallKind::NotFound {
                return format!("There is no Secret {}.", sanitised(&name));
            }
            format!("No login as {}: {}.", sanitised(user), chain_of(&error))
        })?;
        let data = secret.data.unwrap_or_default();
        let password = data.get("password").filter(|value| !value.0.is_empty());
        let password =
            password.ok_or_else(|| format!("Secret {} has no password.", sanitised(&name)))?;
        let database = data.get("dbname").filter(|value| !value.0.is_empty());
        let database = database.map(|value| String::from_utf8_lossy(&value.0).into_owned());
        Ok(Credentials {
            user: user.to_owned(),
            database: database.unwrap_or_else(|| COMMON_DATABASE.to_owned()),
            password: password.0.clone(),
        })
    }

    async fn attempt(
        &self,
        asked: &[(&Credentials, &Service)],
        limit: Duration,
    ) -> Result<Output, ExecError> {
        let input = input(asked, &self.site.namespace, limit);
        let rounds = u32::try_from(asked.len()).unwrap_or(u32::MAX);
        let longest = limit + LAST_ATTEMPT.saturating_mul(rounds);
        let argv = exec::bash(TRY);
        let whole = async {
            let mut process = Process::start(&self.site, &self.inside, &argv).await?;
            process.give(&input).await?;
            process.finish().await
        };
        timeout(longest, whole).await.unwrap_or_else(|_elapsed| {
            Err(ExecError::Timeout {
                container: self.inside.clone(),
                limit: longest,
            })
        })
    }
}

/// What the script reads.
fn input(asked: &[(&Credentials, &Service)], namespace: &str, limit: Duration) -> Vec<u8> {
    let lines = asked.iter().map(|(who, service)| {
        let fields = [who.database.as_bytes(), who.user.as_bytes(), &who.password];
        let fields = fields.map(|field| BASE64_STANDARD.encode(field)).join(" ");
        format!("{}.{namespace}.svc {} {fields}", service.name, service.port)
    });
    let counts = format!("{} {}", limit.as_secs(), asked.len());
    let lines: Vec<String> = std::iter::once(counts).chain(lines).collect();
    let mut input = lines.join("\n");
    input.push('\n');
    input.into_bytes()
}

fn read_answers(asked: &[(&Credentials, &Service)], stdout: &str) -> Vec<Login> {
    let answer = |number: usize| {
        let begins = format!("pgha-login {number} ");
        stdout.lines().find_map(|line| line.strip_prefix(&begins))
    };
    let of_number = |(number, (who, service)): (usize, &(&Credentials, &Service))| Login {
        user: sanitised(&who.user),
        service: sanitised(&service.name),
        failed: match answer(number) {
            Some("ok") => None,
            Some(said) => {
                let said = said.strip_prefix("failed ").unwrap_or(said);
                Some(sanitised(
                    said.strip_prefix("psql: error: ").unwrap_or(said),
                ))
            }
            None => Some("it was not tried to the end".to_owned()),
        },
    };
    asked.iter().enumerate().map(of_number).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn service(name: &str) -> Service {
        Service {
            name: name.to_owned(),
            port: 5432,
        }
    }

    fn credentials(password: &str) -> Credentials {
        Credentials {
            user: "app user".to_owned(),
            database: "app".to_owned(),
            password: password.as_bytes().to_vec(),
        }
    }

    /// Runs the script with a `psql` that knows one password and writes down how it was called.
    fn run(input: &[u8]) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let psql = folder.path().join("psql");
        let text = "#!/bin/bash\necho \"$* $PGHOST $PGPORT $PGUSER $PGDATABASE $PGSSLMODE\" >>\"${0%/*}/calls\"\n\
            [[ $PGPASSWORD == 'right \"$1' ]] && echo 't|f' || { echo first >&2; echo \"refused $PGUSER\" >&2; }\n";
        fs::write(&psql, text).unwrap();
        fs::set_permissions(&psql, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc", "-c", TRY])
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Kept open, as over the API server.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
        (String::from_utf8(output.stdout).unwrap(), calls)
    }

    #[test]
    fn each_user_tries_each_service_and_no_password_is_an_argument() {
        let (right, wrong) = (credentials("right \"$1"), credentials("wrong"));
        let (primary, bouncer) = (service("db-primary"), service("db-pgbouncer"));
        let asked = [(&right, &primary), (&right, &bouncer), (&wrong, &primary)];
        let (stdout, calls) = run(&input(&asked, "prod", Duration::ZERO));
        let logins = read_answers(&asked, &stdout);
        let failed: Vec<_> = logins.iter().map(|login| login.failed.as_deref()).collect();
        assert_eq!(failed, [None, None, Some("refused app user")], "{stdout}");
        let call = "-X -q -A -t -w -c select txid_current() > 0, pg_is_in_recovery() db-pgbouncer.prod.svc 5432 app user \
                    app require";
        assert_eq!(calls.lines().nth(1), Some(call));
        assert!(
            !calls.contains("right") && !calls.contains("wrong"),
            "{calls}"
        );
    }

    #[test]
    fn a_login_without_an_answer_has_failed() {
        let who = credentials("secret");
        let primary = service("db-primary");
        let logins = read_answers(&[(&who, &primary)], "pgha-login 1 ok\n");
        assert!(logins[0].failed.is_some());
    }
}
