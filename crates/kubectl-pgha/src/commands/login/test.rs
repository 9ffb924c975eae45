//! The login after a move, which shows that people can use the service.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use pgha_core::clock;
use pgha_core::diagnose::sanitised;
use pgha_core::oidc::{Issuer, Login};

use super::{by_its_clock, by_person, read_secret, verify};
use crate::args::{Expected, GrantKind, LoginArgs, OutputArgs};
use crate::commands::token_check;
use crate::failure::Failure;
use crate::interrupt::unless_interrupted;
use crate::service::LoginSettings;
use crate::settings::{RequestTimeout, Settings};
use crate::ui::Ui;
use crate::view::application::LoginView;

/// A login that is to be made once users have arrived.
#[derive(Debug)]
pub(crate) struct TestLogin {
    args: LoginArgs,
    settings: Settings,
    /// The thumbprints of the keys that the issuer published before the move; or why nobody could log in then.
    before: Result<BTreeSet<String>, Failure>,
}

impl TestLogin {
    /// Looks whether somebody could log in now, as far as nobody has to be there for it.
    pub(crate) async fn look(login: &LoginSettings, settings: &Settings) -> Self {
        let args = args(login);
        Self {
            before: before(&args, settings).await,
            args,
            settings: settings.clone(),
        }
    }

    /// Why nobody could log in before the move: the issuer does not answer as one, or there is no secret where it should be.
    pub(crate) fn doubt(&self) -> Option<&Failure> {
        self.before.as_ref().err()
    }

    /// What would be done.
    pub(crate) fn view(&self) -> LoginView {
        LoginView::new(&self.args.issuer, &self.args.client_id, self.args.grant)
    }

    /// Has somebody log in, and says what that shows, as a full sentence.
    ///
    /// # Errors
    /// Nobody has logged in, the token is not proved, or the issuer has none of the keys from before: they are in its database.
    pub(crate) async fn log_in(&self, ui: &Ui) -> Result<String, Failure> {
        let (args, begun) = (&self.args, clock::now());
        let mut issuer = discover(args, &self.settings).await?;
        let keys = self.same_keys(&issuer)?;
        let secret = args.client_secret_file.as_deref().map(read_secret);
        let secret = secret.transpose()?;
        let login = Login::new(&issuer, &args.client_id, secret.as_ref(), &args.scope);
        let login = login.map_err(|error| Failure::from(&error))?;
        let (at, client) = (sanitised(&args.issuer), sanitised(&args.client_id));
        if args.grant == GrantKind::ClientCredentials {
            let granted = login.as_client().await;
            granted.map_err(|error| Failure::from(&error))?;
            return Ok(format!(
                "{client} was given a token by {at}, without a person; {keys}."
            ));
        }
        let granted = unless_interrupted(by_person(args, &login, ui)).await?;
        let begun = by_its_clock(begun, &issuer);
        let (_, verdict) = verify(args, &mut issuer, &granted, Some(begun)).await?;
        match token_check::refusal(&verdict, &[]) {
            Some(refusal) => Err(refusal),
            None => Ok(format!(
                "Somebody has logged in afresh at {at} as a user of {client}, and the token is proved; {keys}."
            )),
        }
    }

    fn same_keys(&self, issuer: &Issuer) -> Result<String, Failure> {
        let Ok(before) = &self.before else {
            return Ok("which keys it had before is not known".to_owned());
        };
        let kept = before.intersection(&keys(issuer)).count();
        let before = before.len();
        if kept == 0 {
            let text = format!(
                "{} publishes none of the {before} keys from before the move",
                sanitised(&self.args.issuer)
            );
            let hint =
                "Keys are in the issuer's database: look whether it reads the one that has moved.";
            return Err(Failure::refused(text).hinting(hint));
        }
        Ok(format!("{kept} of {before} keys from before are published"))
    }

    /// The command that does it by itself.
    pub(crate) fn command(&self) -> String {
        let LoginArgs {
            issuer, client_id, ..
        } = &self.args;
        let grant = match self.args.grant {
            GrantKind::Authcode => "",
            GrantKind::Device => " --grant device",
            GrantKind::ClientCredentials => " --grant client-credentials --client-secret-file FILE",
        };
        sanitised(&format!(
            "kubectl pgha login --issuer {issuer} --client-id {client_id} --fresh{grant}"
        ))
    }
}

async fn before(args: &LoginArgs, settings: &Settings) -> Result<BTreeSet<String>, Failure> {
    if let Some(file) = &args.client_secret_file {
        read_secret(file)?;
    }
    Ok(keys(&discover(args, settings).await?))
}

async fn discover(args: &LoginArgs, settings: &Settings) -> Result<Issuer, Failure> {
    token_check::discover(&args.issuer, args.certificate_authority.clone(), settings).await
}

fn keys(issuer: &Issuer) -> BTreeSet<String> {
    let keys = issuer.keys().keys.iter();
    keys.filter_map(|key| key.thumbprint.clone()).collect()
}

/// The same as a command line has it: by a person who logs in anew, and kept nowhere.
fn args(login: &LoginSettings) -> LoginArgs {
    let expect = login.expect.iter().map(|(claim, value)| Expected {
        claim: claim.clone(),
        value: value.clone(),
    });
    LoginArgs {
        issuer: login.issuer.clone(),
        client_id: login.client_id.clone(),
        client_secret_file: login.client_secret_file.clone(),
        scope: login.scopes.clone(),
        grant: login.grant,
        fresh: true,
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        no_browser: false,
        timeout: RequestTimeout(Duration::from_secs(login.timeout_seconds)),
        no_cache: true,
        certificate_authority: login.ca_file.clone(),
        expect: expect.collect(),
        max_auth_age: None,
        request_timeout: None,
        output: OutputArgs::default(),
    }
}
