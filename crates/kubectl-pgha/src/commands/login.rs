//! `kubectl pgha login`.

mod cache;
mod loopback;
mod test;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use pgha_core::clock;
use pgha_core::diagnose::sanitised;
use pgha_core::oidc::{Expectations, Grant, IdToken, Issuer, Login, LoginError, Token, Verdict};
use pgha_core::settle::pause;

pub(super) use self::cache::{Cache, Kept};
use self::loopback::Loopback;
pub(super) use self::test::TestLogin;
use super::moving::LONGEST_STEP;
use super::token_check::{self, Asking};
use crate::args::{GrantKind, LoginArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::settings::{Environment, Settings};
use crate::ui::{self, Ui};
use crate::view::login::ClientTokenView;
use crate::view::token_check::TokenCheckView;

/// Runs the command.
pub(crate) fn main(args: &LoginArgs, environment: &Environment) -> Exit {
    super::read_alone(&args.common(), environment, async |settings, ui| {
        Box::pin(run(args, settings, ui)).await
    })
}

async fn run(args: &LoginArgs, settings: &Settings, ui: &Ui) -> Result<Exit, Failure> {
    if !args.listen.ip().is_loopback() {
        let text = format!(
            "--listen {} is no address of this machine alone",
            args.listen
        );
        return Err(Failure::usage(text).hinting("Give 127.0.0.1 or [::1] with a port."));
    }
    let secret = args.client_secret_file.as_deref().map(read_secret);
    let secret = secret.transpose()?;
    let begun = clock::now();
    let authorities = args.certificate_authority.clone();
    let mut issuer = token_check::discover(&args.issuer, authorities, settings).await?;
    let login = Login::new(&issuer, &args.client_id, secret.as_ref(), &args.scope);
    let login = login.map_err(|error| Failure::from(&error))?;
    if args.grant == GrantKind::ClientCredentials {
        return as_client(&login, ui).await;
    }
    let cache = (!args.no_cache).then(|| Cache::new(settings, &args.issuer, &args.client_id));
    let cache = cache.transpose()?;
    let lock = match &cache {
        Some(cache) => Some(cache.lock().await?),
        None => None,
    };
    let kept = cache.as_ref().filter(|_| !args.fresh);
    let kept = kept.map(|cache| cache.read(&args.scope)).transpose()?;
    let begun = by_its_clock(begun, &issuer);
    let found = without_person(args, kept.flatten(), &login, &mut issuer, ui).await?;
    let (token, verdict) = if let Some((kept, token, verdict)) = found {
        keep(cache.as_ref(), Some(&kept))?;
        (token, verdict)
    } else {
        let granted = by_person(args, &login, ui).await?;
        let (token, verdict) = verify(args, &mut issuer, &granted, Some(begun)).await?;
        if verdict.is_proved() {
            keep(cache.as_ref(), Kept::of(&granted, &args.scope).as_ref())?;
        }
        (token, verdict)
    };
    drop(lock);
    let view = TokenCheckView::new(&token, &verdict, &issuer, &[], clock::now());
    ui.show(&view)?;
    Ok(ui.conclude(token_check::refusal(&verdict, &[]).as_ref()))
}

/// When the login began as the issuer counts, which is in whole seconds.
fn by_its_clock(begun: Timestamp, issuer: &Issuer) -> Timestamp {
    let offset = issuer.clock_offset.unwrap_or_default().as_secs();
    // The date of its answer is in whole seconds too, and took a while to come.
    let offset = if offset.abs() > 2 { offset } else { 0 };
    let second = begun.as_second().saturating_add(offset);
    Timestamp::from_second(second).unwrap_or(begun)
}

/// The client's secret by itself, as programs write it: a line break at its end is none of it.
fn read_secret(path: &Path) -> Result<Token, Failure> {
    let shown = sanitised(&path.display().to_string());
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| Failure::usage(format!("cannot read {shown}: {error}")))?;
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.is_empty() {
        return Err(Failure::usage(format!("there is no secret in {shown}")));
    }
    Ok(Token::new(secret))
}

async fn as_client(login: &Login, ui: &Ui) -> Result<Exit, Failure> {
    let granted = login.as_client().await;
    let granted = granted.map_err(|error| Failure::from(&error))?;
    ui.show(&ClientTokenView::new(&granted))?;
    Ok(Exit::Done)
}

/// A kept token that still verifies, or a new one for the kept session; `None` when a person is needed.
async fn without_person(
    args: &LoginArgs,
    kept: Option<Kept>,
    login: &Login,
    issuer: &mut Issuer,
    ui: &Ui,
) -> Result<Option<(Kept, IdToken, Verdict)>, Failure> {
    let Some(kept) = kept else {
        return Ok(None);
    };
    if let Ok((token, verdict)) = verify(args, issuer, &kept.granted(), None).await
        && verdict.is_proved()
    {
        return Ok(Some((kept, token, verdict)));
    }
    let Some(refresh) = &kept.refresh_token else {
        return Ok(None);
    };
    let granted = match login.refresh(refresh).await {
        Ok(granted) => granted,
        // The session is over; somebody who is not reached is another matter.
        Err(error @ LoginError::Refused { .. }) => {
            ui.note(&format!("The kept session cannot be refreshed: {error}."));
            return Ok(None);
        }
        Err(error) => return Err(Failure::from(&error)),
    };
    let (token, verdict) = verify(args, issuer, &granted, None).await?;
    let kept = Kept::of(&granted, &args.scope).filter(|_| verdict.is_proved());
    Ok(kept.map(|kept| (kept, token, verdict)))
}

async fn by_person(args: &LoginArgs, login: &Login, ui: &Ui) -> Result<Grant, Failure> {
    let limit = args.timeout.0.min(LONGEST_STEP);
    let granted = match args.grant {
        GrantKind::Device => by_device(login, limit).await,
        GrantKind::Authcode | GrantKind::ClientCredentials => {
            return by_browser(args, login, limit, ui).await;
        }
    };
    granted.map_err(|error| Failure::from(&error))
}

async fn by_device(login: &Login, limit: Duration) -> Result<Grant, LoginError> {
    let code = login.begin_device().await?;
    ui::instruct(&format!(
        "Open {} and type {} there, within {} s.",
        code.at(),
        code.user_code(),
        limit.min(code.expires_in()).as_secs()
    ));
    if let Some(url) = code.at_with_code() {
        ui::instruct(&format!("Or open {url} and confirm the code."));
    }
    login.finish_device(&code, limit, pause).await
}

async fn by_browser(
    args: &LoginArgs,
    login: &Login,
    limit: Duration,
    ui: &Ui,
) -> Result<Grant, Failure> {
    let loopback = Loopback::bind(args.listen).await.map_err(|error| {
        Failure::refused(format!("nobody can listen at {}: {error}", args.listen))
            .hinting("Give another port with --listen.")
    })?;
    let begun = login.begin(&loopback.redirect(), args.fresh);
    let begun = begun.map_err(|error| Failure::from(&error))?;
    ui::instruct(&format!("Log in at {}", begun.url));
    if !args.no_browser && !loopback::open_browser(&begun.url) {
        ui.note("No browser could be started here; open the address by hand.");
    }
    let query = loopback.answer(limit).await.map_err(|error| {
        let text = format!("no browser has brought an answer: {error}");
        Failure::refused(text).hinting("Run the same command again, or take --grant device.")
    })?;
    let granted = login.finish(begun, &query).await;
    granted.map_err(|error| Failure::from(&error))
}

/// Checks what the issuer gave. A login that has just been made has to be since then.
async fn verify(
    args: &LoginArgs,
    issuer: &mut Issuer,
    granted: &Grant,
    since: Option<Timestamp>,
) -> Result<(IdToken, Verdict), Failure> {
    let token = granted.id_token.as_ref().ok_or_else(|| {
        Failure::refused(format!("{} gave no ID token", sanitised(issuer.url())))
            .hinting("See whether the client may ask for the scope `openid`.")
    })?;
    let token = IdToken::read(token).map_err(|error| token_check::refused(&error))?;
    let asking = Asking {
        issuer: &args.issuer,
        client_id: &args.client_id,
        expect: &args.expect,
        max_auth_age: args.max_auth_age,
        since,
    };
    let expected = Expectations {
        nonce: granted.nonce.clone(),
        access_token: Some(granted.access_token.clone()),
        ..token_check::expectations(&asking)
    };
    let verdict = issuer.verify(&token, &expected).await;
    let verdict = verdict.map_err(|error| Failure::from(&error))?;
    Ok((token, verdict))
}

fn keep(cache: Option<&Cache>, kept: Option<&Kept>) -> Result<(), Failure> {
    match cache.zip(kept) {
        Some((cache, kept)) => cache.write(kept),
        None => Ok(()),
    }
}
