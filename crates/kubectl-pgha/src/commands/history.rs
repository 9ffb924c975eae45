//! `kubectl pgha history`.

use futures::future::join_all;
use pgha_core::client::SiteClient;
use pgha_core::clock;
use pgha_core::journal::read_journal;
use pgha_model::record::{Epoch, Journal, PastMove, merge};
use pgha_model::site::Place;

use super::looked_at::{Asked, LookedAt};
use crate::args::HistoryArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::settings::Environment;
use crate::ui::Ui;
use crate::view::history::{HistoryView, Seen, UnreadSite};

/// Runs the command.
pub(crate) fn main(args: &HistoryArgs, environment: &Environment) -> Exit {
    super::read(&args.common, environment, async |session, ui| {
        run(args, session, ui).await
    })
}

async fn run(args: &HistoryArgs, session: &Session<'_>, ui: &Ui) -> Result<Exit, Failure> {
    let asked = Asked {
        file: args.file.as_deref(),
        named: Some(&args.cluster),
        contexts: &args.contexts,
        everywhere: false,
        changes: false,
    };
    let looked_at = LookedAt::open(asked, session, ui).await?;
    let cluster = looked_at.cluster.as_deref().unwrap_or(&args.cluster);
    let found = Found::read(&looked_at.sites, cluster).await?;
    let moves = merge(&found.journals);
    let asked = args.id.map(Epoch);
    let shown = found.choose(&moves, asked)?;
    let view = HistoryView::new(&Seen {
        cluster,
        journals: &found.journals,
        unread: &found.unread,
        moves: shown,
        all: &moves,
        is_one: asked.is_some(),
        at: clock::now(),
    });
    ui.show(&view)?;
    if moves.is_empty() && found.unread.is_empty() {
        ui.note(&format!("{}.", found.nothing_there(cluster)));
    }
    Ok(match complaint(&found, &moves, asked) {
        None => Exit::Done,
        Some(complaint) => {
            ui.complain(&complaint);
            complaint.exit
        }
    })
}

/// What the sites keep, and those that could not be read.
pub(super) struct Found {
    pub(super) journals: Vec<(Place, Journal)>,
    pub(super) unread: Vec<UnreadSite>,
}

impl Found {
    /// Reads every site at the same time. Errs when the only one could not be read.
    pub(super) async fn read(sites: &[SiteClient], cluster: &str) -> Result<Self, Failure> {
        let readings = join_all(sites.iter().map(|site| read_journal(site, cluster))).await;
        let (mut journals, mut unread) = (Vec::new(), Vec::new());
        for (site, reading) in sites.iter().zip(readings) {
            match reading {
                Ok(kept) => journals.push((site.place(cluster), kept.journal)),
                Err(error) if sites.len() == 1 => return Err(Failure::from(&error)),
                Err(error) => unread.push(UnreadSite {
                    context: site.context.clone(),
                    because: Failure::from(&error).in_one_line(),
                }),
            }
        }
        Ok(Self { journals, unread })
    }

    /// All moves, or the one that was asked for; errs when nobody keeps it.
    fn choose<'a>(
        &self,
        moves: &'a [PastMove],
        asked: Option<Epoch>,
    ) -> Result<&'a [PastMove], Failure> {
        let Some(asked) = asked else {
            return Ok(moves);
        };
        let mut each = moves.chunks(1);
        each.find(|chunk| chunk.iter().any(|past| past.epoch == asked))
            .ok_or_else(|| self.unknown(moves, asked))
    }

    fn unknown(&self, moves: &[PastMove], asked: Epoch) -> Failure {
        let unread = self.unread.iter();
        let causes = unread.map(|site| format!("{} was not seen: {}", site.context, site.because));
        let causes = causes.collect();
        if self.journals.is_empty() {
            return Failure::refused("none of the sites that were asked could be seen")
                .because(causes);
        }
        let known: Vec<String> = moves.iter().map(|past| past.epoch.to_string()).collect();
        let hint = match known.as_slice() {
            [] => "No move is recorded there.".to_owned(),
            known => format!("The moves that are recorded: {}.", known.join(", ")),
        };
        Failure::refused(format!("no move {asked} is recorded{}", self.whereabouts()))
            .because(causes)
            .hinting(hint)
    }

    fn nothing_there(&self, cluster: &str) -> String {
        format!("No move of `{cluster}` is recorded{}", self.whereabouts())
    }

    /// ` at core1 and core2`, of the sites that were read.
    fn whereabouts(&self) -> String {
        let places = self.journals.iter();
        let places: Vec<String> = places.map(|(place, _)| place.to_string()).collect();
        if places.is_empty() {
            return String::new();
        }
        format!(" at {}", places.join(" and "))
    }
}

/// What keeps the answer from being whole.
fn complaint(found: &Found, moves: &[PastMove], asked: Option<Epoch>) -> Option<Failure> {
    let unreadable = moves
        .iter()
        .find(|past| Some(past.epoch) == asked)
        .and_then(|past| Some((past.epoch, past.unreadable()?)));
    if let Some((epoch, reason)) = unreadable {
        let failure = Failure::refused(format!("the record of move {epoch} cannot be read"));
        return Some(failure.because(vec![reason.to_owned()]));
    }
    (!found.unread.is_empty())
        .then(|| Failure::refused("not every site that was asked could be seen"))
}
