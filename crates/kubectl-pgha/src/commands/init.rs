//! `kubectl pgha init`.

use std::io;
use std::path::Path;

use pgha_core::client::SiteClient;
use pgha_core::clock;
use pgha_core::diagnose::sanitised;
use pgha_core::surroundings::{Surroundings, look_around};
use pgha_core::survey::{Depth, survey_site};
use pgha_model::service::judge_services;
use pgha_model::survey::SiteSurvey;

use crate::args::InitArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::service::read_text;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::{self, Ui};
use crate::view::init::{Draft, Found};
use crate::whole_file;

/// Runs the command.
pub(crate) fn main(args: &InitArgs, environment: &Environment) -> Exit {
    super::read(&args.common(), environment, async |session, ui| {
        run(args, session, ui).await
    })
}

async fn run(args: &InitArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    if args.from == args.to {
        return Err(Failure::usage("--from and --to name the same context"));
    }
    if let Some(path) = args
        .write
        .as_deref()
        .filter(|path| path.exists() && !args.force)
    {
        return Err(is_there(path));
    }
    let (from, to) =
        tokio::try_join!(session.site(Some(&args.from)), session.site(Some(&args.to)))?;
    refuse_namespaces(&from, &to)?;
    let (first, second) =
        Box::pin(async { tokio::join!(look(&from, &args.cluster), look(&to, &args.cluster)) })
            .await;
    let (first, second) = (first?, second?);
    let (surveys, around) = ([first.0, second.0], [first.1, second.1]);
    refuse_strangers(&surveys)?;
    let found = |index: usize| Found {
        survey: &surveys[index],
        around: &around[index],
    };
    let draft = Draft {
        sites: [found(0), found(1)],
        primary: primary(&surveys),
    };
    let text = draft.text();
    read_text(&text).map_err(|failure| unreadable(&failure))?;
    for unread in draft.unread() {
        ui.note(&format!("Not looked at: {unread}."));
    }
    match &args.write {
        None => ui::show_file(&text)?,
        Some(path) => {
            write(path, &text, args.force)?;
            let shown = sanitised(&path.display().to_string());
            ui.note(&format!(
                "Wrote {shown}. Read it, then `kubectl pgha lint {shown}`."
            ));
        }
    }
    Ok(Exit::Done)
}

async fn look(site: &SiteClient, cluster: &str) -> Result<(SiteSurvey, Surroundings), Failure> {
    let survey = survey_site(site, cluster, Depth::Leader).await;
    let survey = survey.map_err(|error| Failure::from(&error))?;
    let around = look_around(site, cluster).await;
    Ok((survey, around.map_err(|error| Failure::from(&error))?))
}

/// A move goes between clusters of one namespace's name; a file that says otherwise would be of no use.
fn refuse_namespaces(from: &SiteClient, to: &SiteClient) -> Result<(), Failure> {
    if from.namespace == to.namespace {
        return Ok(());
    }
    let [from, to] = [from, to].map(|site| sanitised(&site.namespace));
    let text = format!("the contexts have different namespaces, `{from}` and `{to}`");
    Err(Failure::usage(text)
        .hinting("Name the one of the cluster, which both sites have, with -n."))
}

/// Two clusters that are not sides of one service have no file together. One that does not say what it is gets a remark.
fn refuse_strangers([here, there]: &[SiteSurvey; 2]) -> Result<(), Failure> {
    let [from, to] = [here, there].map(|side| sanitised(&side.place.context));
    if here.object.uid == there.object.uid {
        return Err(Failure::refused(format!(
            "`{from}` and `{to}` lead to one and the same cluster"
        ))
        .hinting("Name the context of the other site."));
    }
    match (here.system_identifier(), there.system_identifier()) {
        (Some(one), Some(other)) if one != other => Err(Failure::refused(format!(
            "the clusters at `{from}` and `{to}` are no sides of one service: their system identifiers are {one} and {other}"
        ))
        .hinting("Name the contexts of a primary and of a standby that was copied from it.")),
        _ => Ok(()),
    }
}

/// Which of both is the only primary.
fn primary(surveys: &[SiteSurvey; 2]) -> Option<usize> {
    let services = judge_services(surveys, clock::now());
    let mut primaries = services.iter().filter_map(|service| service.primary());
    let (first, second) = (primaries.next()?, primaries.next());
    let place = &first.survey.place;
    let index = surveys.iter().position(|survey| survey.place == *place);
    index.filter(|_| second.is_none())
}

/// What was drafted is no service's file.
fn unreadable(failure: &Failure) -> Failure {
    Failure::unexpected("the draft is not read back as it was meant").because(failure.chain())
}

fn is_there(path: &Path) -> Failure {
    let shown = sanitised(&path.display().to_string());
    Failure::usage(format!("{shown} is there already"))
        .hinting("Name another file, or give --force to have it replaced.")
}

/// Writes the file whole, or leaves what was there.
fn write(path: &Path, text: &str, replaces: bool) -> Result<(), Failure> {
    let written = if replaces {
        whole_file::replace(path, text)
    } else {
        whole_file::create(path, text)
    };
    written.map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return is_there(path);
        }
        let shown = sanitised(&path.display().to_string());
        Failure::refused(format!("{shown} cannot be written: {error}"))
    })
}
