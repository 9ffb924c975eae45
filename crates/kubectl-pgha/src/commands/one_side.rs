//! What `promote` and `demote` have in common: the site that is changed, the other side of its service, and a refusal.

use futures::future::join_all;
use pgha_core::client::SiteClient;
use pgha_core::diagnose::chain_of;
use pgha_core::engine::Side;
use pgha_core::peer::find_peers;
use pgha_model::check::PeerSight;
use pgha_model::member::Role;
use pgha_model::plan::Refusal;
use pgha_model::site::{Part, Place};

use crate::args::StepArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::ui::Ui;
use crate::view::switchover::RefusalView;

/// The other side, or why it was not seen, as a fragment.
pub(super) type Peer = Result<Side, String>;

/// What is known of the other side; `alone` is the user's word that there is none.
pub(super) fn sight(peer: &Peer, alone: bool) -> PeerSight<'_> {
    let seen = peer.as_ref().map(|peer| &peer.facts);
    PeerSight::of(seen.map_err(String::as_str), alone)
}

/// The site that is to be changed.
pub(super) async fn open_here(
    args: &StepArgs,
    session: &Session<'_>,
    ui: &Ui,
) -> Result<SiteClient, Failure> {
    let named = (args.context.as_deref(), args.peer.as_deref());
    open_named(named, args.dry_run, session, ui).await
}

/// The same, by the contexts of both sides as they were named.
pub(super) async fn open_named(
    (context, peer): (Option<&str>, Option<&str>),
    dry_run: bool,
    session: &Session<'_>,
    ui: &Ui,
) -> Result<SiteClient, Failure> {
    if !dry_run {
        super::refuse_unnamed(context)?;
    }
    let site = session.site(context).await?;
    if peer == Some(&site.context) {
        let text = "--peer names the context of the side that is to be changed";
        return Err(Failure::usage(text));
    }
    super::tell_current(ui, context, &site);
    Ok(site)
}

/// Surveys a side. What cannot be seen of the side that is to be changed is a refusal.
pub(super) async fn survey(site: &SiteClient, cluster: &str, part: Part) -> Result<Side, Failure> {
    let opened = Box::pin(Side::open(site.clone(), cluster, part)).await;
    opened.map_err(|error| Failure::from(&error))
}

/// Finds and surveys the other side: the one that was named, or the one that the kubeconfig leads to.
pub(super) async fn find_peer(
    named: Option<&str>,
    here: &Side,
    part: Part,
    session: &Session<'_>,
    ui: &Ui,
) -> Result<Peer, Failure> {
    let place = &here.facts.survey.place;
    let site = match named {
        // The same namespace and name at both sites.
        Some(context) => session
            .site(Some(context))
            .await?
            .in_namespace(&place.namespace),
        None => match search(here, session, ui).await? {
            Ok(site) => site,
            Err(because) => return Ok(Err(because)),
        },
    };
    let opened = Box::pin(Side::open(site, &place.cluster, part)).await;
    Ok(opened.map_err(|error| chain_of(&error)))
}

async fn search(
    here: &Side,
    session: &Session<'_>,
    ui: &Ui,
) -> Result<Result<SiteClient, String>, Failure> {
    let survey = &here.facts.survey;
    let Some(identifier) = survey.system_identifier() else {
        return Ok(Err(
            "this side does not say its system identifier".to_owned()
        ));
    };
    let others = session
        .contexts()
        .filter(|context| *context != survey.place.context);
    let opened = others.map(|context| async move {
        let site = session.site(Some(context)).await;
        (context.to_owned(), site)
    });
    let (mut sites, mut unseen) = (Vec::new(), Vec::new());
    for (context, site) in join_all(opened).await {
        match site {
            Ok(site) => sites.push(site.in_namespace(&survey.place.namespace)),
            Err(failure) => unseen.push((context, failure.in_one_line())),
        }
    }
    let asked = sites.len();
    let (cluster, uid) = (&survey.place.cluster, &survey.object.uid);
    let mut search = find_peers(sites, cluster, identifier, uid).await;
    unseen.append(&mut search.unseen);
    for (context, because) in &unseen {
        ui.note(&format!("Context `{context}` was not seen: {because}."));
    }
    let names: Vec<&str> = search
        .found
        .iter()
        .map(|site| site.context.as_str())
        .collect();
    match names.len() {
        0 if unseen.is_empty() => Ok(Err(format!(
            "none of the {asked} other contexts leads to another side of {cluster}"
        ))),
        0 => {
            let unseen: Vec<String> = unseen
                .iter()
                .map(|(context, because)| format!("`{context}` ({because})"))
                .collect();
            Ok(Err(format!("it may be behind {}", unseen.join(", "))))
        }
        1 => Ok(Ok(search.found.remove(0))),
        _ => Err(Failure::refused(format!(
            "{cluster} has several other sides: {}",
            names.join(", ")
        ))
        .hinting("Name one with --peer.")),
    }
}

/// Whether the leader of a side is this, by Postgres' word or, where that is not to be had, by Patroni's live one.
pub(super) fn leader_is(side: &Side, role: &Role) -> bool {
    let facts = &side.facts;
    match &facts.postgres {
        Some(postgres) => postgres.in_recovery != (*role == Role::Primary),
        None => facts.survey.lock_holder().is_some_and(|leader| {
            let live = leader.live.as_seen();
            live.is_some_and(|status| status.role == *role)
        }),
    }
}

/// Says what forbids it, side by side.
pub(super) fn refuse(
    kind: &'static str,
    refusal: &Refusal,
    sides: (&str, &str),
    text: String,
    ui: &Ui,
) -> Result<Exit, Failure> {
    ui.show(&RefusalView::new(kind, &refusal.0, sides))?;
    let hint = "Nothing was changed. Mend what failed and run the same command again.";
    ui.complain(&Failure::refused(text).hinting(hint));
    Ok(Exit::Refused)
}

/// What to do when everything is as before.
pub(super) fn again() -> String {
    "Everything is as before. The same command may be run again.".to_owned()
}

/// The command that puts back what an unfinished step of one side has left.
pub(super) fn abort_command(source: Option<&Place>, target: Option<&Place>) -> String {
    match (source, target) {
        (Some(source), Some(target)) => source.command_toward("abort", target),
        (Some(one), None) | (None, Some(one)) => format!(
            "kubectl pgha abort {} -n {} --from CONTEXT --to CONTEXT",
            one.cluster, one.namespace
        ),
        (None, None) => "kubectl pgha abort".to_owned(),
    }
}
