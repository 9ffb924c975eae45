//! `kubectl pgha token-check`.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use futures::future::join_all;
use jiff::Timestamp;
use pgha_core::client::{CallKind, SiteClient};
use pgha_core::clock;
use pgha_core::diagnose::{chain_of, sanitised};
use pgha_core::oidc::{
    Algorithm, Baseline, Check, Compact, Expectations, IdToken, Issuer, IssuerUrl, LONGEST_TOKEN,
    Outcome, Token, TokenError, Verdict, Web, read_credential, review,
};

use super::login::Cache;
use crate::args::{Age, Expected, TokenCheckArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::given;
use crate::session::Session;
use crate::settings::{Environment, Settings};
use crate::ui::Ui;
use crate::view::token_check::{ApiServer, TokenCheckView, decoded};

/// As much as a token may be, and a little more to see that it is too long.
const LONGEST_FILE: u64 = 4 * LONGEST_TOKEN as u64;

/// Runs the command.
pub(crate) fn main(args: &TokenCheckArgs, environment: &Environment) -> Exit {
    super::read_alone(&args.common(), environment, async |settings, ui| {
        run(args, settings, ui).await
    })
}

async fn run(args: &TokenCheckArgs, settings: &Settings, ui: &Ui) -> Result<Exit, Failure> {
    let token = read_token(args, settings).await?;
    if args.decode_only {
        return decode(&token, ui);
    }
    let before = args.baseline.as_deref().map(read_baseline).transpose()?;
    let token = IdToken::read(&token).map_err(|error| refused(&error))?;
    // A context that is not there is told before anybody is asked.
    let sites = open_api_servers(args, settings, &token).await?;
    let url = args.issuer.as_deref().unwrap_or_default();
    let authorities = args.certificate_authority.clone();
    let mut issuer = discover(url, authorities, settings).await?;
    let expected = expectations(&Asking {
        issuer: url,
        client_id: args.client_id.as_deref().unwrap_or_default(),
        expect: &args.expect,
        max_auth_age: args.max_auth_age,
        since: args.since,
    });
    let mut verdict = issuer
        .verify(&token, &expected)
        .await
        .map_err(|error| Failure::from(&error))?;
    let now = clock::now();
    let after = Baseline::of(&token, &verdict, &issuer, &expected.client_id, now);
    if let Some((before, after)) = before.as_ref().zip(after.as_ref()) {
        verdict.checks.extend(before.compare(after));
    }
    let asked = sites.iter().map(|site| ask_api_server(site, &token));
    let api_servers = join_all(asked).await;
    let view = TokenCheckView::new(&token, &verdict, &issuer, &api_servers, now);
    ui.show(&view)?;
    if let Some(refusal) = refusal(&verdict, &api_servers) {
        ui.complain(&refusal);
        return Ok(refusal.exit);
    }
    if let (Some(path), Some(after)) = (args.save_baseline.as_deref(), &after) {
        save_baseline(path, after)?;
        ui.note(&format!("The baseline is in {}.", path.display()));
    }
    Ok(Exit::Done)
}

/// Shows what a token says, whatever its header and its signature are worth.
fn decode(token: &Token, ui: &Ui) -> Result<Exit, Failure> {
    let compact = Compact::read(token).map_err(|error| refused(&error))?;
    let claims = compact.members().map_err(|error| refused(&error))?;
    ui.show(&decoded(&compact, &claims, clock::now()))?;
    Ok(Exit::Done)
}

/// A text that is no token to be proved.
pub(super) fn refused(error: &TokenError) -> Failure {
    Failure::refused(error.to_string())
        .hinting("Only an ID token of the issuer, a signed JWT, can be a proof of a login.")
}

async fn read_token(args: &TokenCheckArgs, settings: &Settings) -> Result<Token, Failure> {
    if let Some(user) = &args.from_kubeconfig {
        return Session::open(settings)?.token_of_user(user).await;
    }
    if args.from_cache {
        return from_cache(args, settings);
    }
    let path = args.token_file.as_deref().unwrap_or(Path::new("-"));
    let (bytes, shown) = given::read(path, LONGEST_FILE).await?;
    read_credential(&bytes)
        .map_err(|error| Failure::refused(format!("there is no token in {shown}: {error}")))
}

/// The token of the last `login`.
fn from_cache(args: &TokenCheckArgs, settings: &Settings) -> Result<Token, Failure> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let cache = Cache::new(settings, &text(&args.issuer), &text(&args.client_id))?;
    let kept = cache.read_any()?.ok_or_else(|| {
        Failure::refused("no token is kept for this issuer and client")
            .hinting("Run `kubectl pgha login` first.")
    })?;
    Ok(kept.id_token)
}

/// Asks an issuer what it is.
pub(super) async fn discover(
    url: &str,
    authorities: Option<PathBuf>,
    settings: &Settings,
) -> Result<Issuer, Failure> {
    let url: IssuerUrl = url
        .parse()
        .map_err(|error| Failure::usage(format!("--issuer: {error}")))?;
    let web = Web {
        limit: settings.request_timeout,
        authorities,
        proxy: settings.proxy.clone(),
    };
    Issuer::discover(web, url)
        .await
        .map_err(|error| Failure::from(&error))
}

/// What a person wants of a token.
pub(super) struct Asking<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) expect: &'a [Expected],
    pub(super) max_auth_age: Option<Age>,
    pub(super) since: Option<Timestamp>,
}

/// The same, as it is checked.
pub(super) fn expectations(asking: &Asking<'_>) -> Expectations {
    let claims = asking.expect.iter();
    let claims = claims.map(|expected| (expected.claim.clone(), expected.value.clone()));
    Expectations {
        claims: claims.collect(),
        max_auth_age: asking.max_auth_age.map(|age| age.0),
        since: asking.since,
        ..Expectations::new(asking.issuer, asking.client_id)
    }
}

fn read_baseline(path: &Path) -> Result<Baseline, Failure> {
    let shown = sanitised(&path.display().to_string());
    let text = File::open(path).and_then(|file| given::read_bounded(file, LONGEST_FILE));
    let text = text.map_err(|error| {
        Failure::usage(format!("cannot read the baseline {shown}: {error}"))
            .hinting("Before a move, `--save-baseline FILE` writes it.")
    })?;
    Baseline::read(&text).map_err(|error| Failure::usage(format!("{shown}: {error}")))
}

/// Names a person, so that only they read it; and what is there already may be the only one from before.
fn save_baseline(path: &Path, baseline: &Baseline) -> Result<(), Failure> {
    let shown = sanitised(&path.display().to_string());
    let failed = |error: &dyn std::fmt::Display| {
        Failure::refused(format!("the baseline cannot be kept in {shown}: {error}"))
    };
    let text = serde_json::to_string_pretty(baseline).map_err(|error| failed(&error))?;
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path).map_err(|error| failed(&error))?;
    file.write_all(format!("{text}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| failed(&error))
}

/// The API servers that are to be asked; nobody is yet.
async fn open_api_servers(
    args: &TokenCheckArgs,
    settings: &Settings,
    token: &IdToken,
) -> Result<Vec<SiteClient>, Failure> {
    if args.api_servers.is_empty() {
        return Ok(Vec::new());
    }
    let session = Session::open(settings)?;
    let mut sites = Vec::new();
    for context in &args.api_servers {
        let secret = token.compact.token();
        sites.push(session.site_with_token(context, secret).await?);
    }
    Ok(sites)
}

async fn ask_api_server(site: &SiteClient, token: &IdToken) -> ApiServer {
    let (reviewed, because) = match review(site).await {
        Ok(reviewed) => (Some(reviewed), None),
        // No API server verifies this algorithm, whoever the issuer is (Kubernetes, `AuthenticationConfiguration`).
        Err(error)
            if error.kind == CallKind::Unauthorized && token.algorithm == Algorithm::EdDsa =>
        {
            let because = "it does not let the bearer in; API servers do not verify EdDSA";
            (None, Some(because.to_owned()))
        }
        Err(error) => (None, Some(chain_of(&error))),
    };
    ApiServer {
        context: site.context.clone(),
        reviewed,
        because,
    }
}

/// What is missing for a proof.
pub(super) fn refusal(verdict: &Verdict, api_servers: &[ApiServer]) -> Option<Failure> {
    let fails = |check: &&Check| check.outcome == Outcome::Fail;
    let checks = verdict.checks.iter().filter(fails);
    let mut failed: Vec<String> = checks
        .map(|check| format!("{}: {}", check.name, check.seen))
        .collect();
    failed.extend(api_servers.iter().filter_map(|server| {
        let because = server.because.as_ref()?;
        Some(format!("API server {}: {because}", server.context))
    }));
    if failed.is_empty() && verdict.is_proved() {
        return None;
    }
    let failed = failed.iter().map(|text| sanitised(text)).collect();
    Some(Failure::refused("the token is not proved").because(failed))
}
