//! Where the keys come from that requests are signed with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_credential_types::Credentials;
use jiff::Timestamp;
use pgha_wire::read_key;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::process::Command;

/// Temporary keys are fetched anew this long before they end, in seconds.
const EARLY: u64 = 60;

/// The time in seconds since 1970, which a signature holds.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Which keys are used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// Those in the environment.
    #[default]
    Environment,
    /// Those of a profile in AWS' shared credentials file.
    Profile(String),
    /// What a program and its arguments print, as AWS' `credential_process` does.
    Process(Vec<String>),
}

/// An access key.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Its id, which is no secret.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
    /// What goes with temporary keys.
    pub token: Option<SecretString>,
}

/// What the process knows and a backend may not ask.
#[derive(Clone)]
pub struct Surroundings {
    /// The keys in the environment.
    pub keys: Option<Keys>,
    /// AWS' shared credentials file.
    pub credentials_file: Option<PathBuf>,
    /// The clock.
    pub clock: Clock,
}

/// What a program prints (AWS CLI user guide, "Sourcing credentials with an external process").
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<Timestamp>,
}

/// Keys from a source, kept for as long as they are good.
pub(crate) struct Purse {
    source: Source,
    pub(crate) around: Surroundings,
    kept: Mutex<Option<(Keys, u64)>>,
}

impl Purse {
    pub(crate) fn new(source: Source, around: Surroundings) -> Self {
        Self {
            source,
            around,
            kept: Mutex::default(),
        }
    }

    /// The keys; or why there are none, without a word of what was read.
    pub(crate) async fn keys(&self) -> Result<Keys, String> {
        let now = (self.around.clock)();
        let is_good = |(_, until): &(Keys, u64)| *until > now.saturating_add(EARLY);
        if let Some((keys, _)) = self.kept().clone().filter(is_good) {
            return Ok(keys);
        }
        let (keys, until) = match &self.source {
            Source::Environment => {
                let none = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not in the environment";
                (self.around.keys.clone().ok_or(none)?, u64::MAX)
            }
            Source::Process(program) => printed(program).await?,
            Source::Profile(name) => (self.profile(name)?, u64::MAX),
        };
        let keys = keys.checked()?;
        *self.kept() = Some((keys.clone(), until));
        Ok(keys)
    }

    fn kept(&self) -> MutexGuard<'_, Option<(Keys, u64)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn profile(&self, name: &str) -> Result<Keys, String> {
        let file = self.around.credentials_file.as_deref();
        let text = read_key(file.ok_or("it is not known where AWS' credentials file is")?)?;
        let all = section(&text, name);
        let secret = |key: &str| all.get(key).map(|text| SecretString::from(*text));
        let keys = all
            .get("aws_access_key_id")
            .zip(secret("aws_secret_access_key"));
        let keys = keys.map(|(id, secret)| ((*id).to_owned(), secret));
        let (id, key) = keys.ok_or_else(|| format!("profile {name} holds no access key"))?;
        let token = secret("aws_session_token");
        let secret = key;
        Ok(Keys { id, secret, token })
    }
}

impl Keys {
    /// What no header could carry is no key.
    fn checked(self) -> Result<Self, String> {
        let is_key = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
        let is_good = is_key(&self.id) && self.secrets().all(is_key);
        let bad = "the access key, its secret or its token is empty, or no text of a key";
        is_good.then_some(self).ok_or_else(|| bad.to_owned())
    }

    fn secrets(&self) -> impl Iterator<Item = &str> {
        let secrets = std::iter::once(&self.secret).chain(&self.token);
        secrets.map(SecretString::expose_secret)
    }

    pub(crate) fn to_sign_with(&self) -> Credentials {
        let token = self
            .token
            .as_ref()
            .map(|token| token.expose_secret().into());
        Credentials::new(&self.id, self.secret.expose_secret(), token, None, "pgha")
    }

    /// A text of AWS' without the secrets: it quotes a request whose signature it does not like, the token included.
    pub(crate) fn out_of(&self, text: &str) -> String {
        self.secrets()
            .fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
    }
}

/// The settings of one section of AWS' shared credentials file.
fn section<'a>(text: &'a str, name: &str) -> BTreeMap<&'a str, &'a str> {
    let header = |line: &'a str| Some(line.strip_prefix('[')?.strip_suffix(']')?.trim());
    let lines = text.lines().map(str::trim);
    let lines = lines.skip_while(|line| header(line) != Some(name)).skip(1);
    let lines = lines.take_while(|line| header(line).is_none());
    let pairs = lines.filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(key, value)| (key.trim(), value.trim()));
    pairs.collect()
}

/// What a program prints, and until when it is good. Neither its output nor its messages are quoted: they may hold secrets.
async fn printed(program: &[String]) -> Result<(Keys, u64), String> {
    let (name, arguments) = program.split_first().ok_or("`process` is empty")?;
    let bad = |what: String| format!("the credential process {name} {what}");
    let mut command = Command::new(name);
    command.args(arguments).kill_on_drop(true);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().await;
    let output = output.map_err(|error| bad(format!("does not start: {error}")))?;
    if !output.status.success() {
        return Err(bad(format!("ends with {}: run it by hand", output.status)));
    }
    let printed = serde_json::from_slice::<Printed>(&output.stdout).ok();
    let printed = printed.filter(|printed| printed.version == 1);
    let printed = printed.ok_or_else(|| bad("prints no keys in version 1".to_owned()))?;
    let until = |end: Timestamp| u64::try_from(end.as_second()).unwrap_or_default();
    let keys = Keys {
        id: printed.access_key_id,
        secret: printed.secret_access_key.into(),
        token: printed.session_token.map(SecretString::from),
    };
    Ok((keys, printed.expiration.map_or(u64::MAX, until)))
}
