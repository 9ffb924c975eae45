//! One schedule: a move with its faults, whoever looks after it, and the judgement of what is left.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use pgha_model::record::Action;
use pgha_model::site::Part;
use tokio::runtime::{Builder, Runtime};

use crate::fault::{Faults, Git};
use crate::pair::Pair;
use crate::rng::Rng;
use crate::server::{Shared, Tool};
use crate::site::{Site, State};
use crate::time::pass;
use crate::tool::{Command, WentBack, live};
use crate::world::{TICK_MS, World};

/// How often the kubelet starts the Job's container.
const STARTS: u32 = 5;

/// How often somebody runs the command again that the last one named.
const ROUNDS: u32 = 4;

/// How the move itself ended, before anybody came after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// As planned.
    Done,
    /// Everything is as before, or the source is primary again; also a refusal.
    Back,
    /// With something left behind, and a next command.
    Held,
    /// Its tool is dead, or another one has taken over.
    Left,
}

impl First {
    /// What the command told begins with where it has left things.
    fn of(ended: Option<&Result<(), String>>) -> Self {
        match ended {
            None => Self::Left,
            Some(Ok(())) => Self::Done,
            Some(Err(text)) if text.starts_with("Superseded") => Self::Left,
            Some(Err(text)) => {
                let is_back = ["Unchanged", "BackAtSource", "refused"];
                if is_back.iter().any(|word| text.starts_with(word)) {
                    Self::Back
                } else {
                    Self::Held
                }
            }
        }
    }
}

/// What came of a schedule.
pub(crate) struct Verdict {
    pub(crate) pair: Pair,
    pub(crate) first: First,
    /// What must never be, in the order in which it was seen.
    pub(crate) violations: Vec<String>,
    pub(crate) trace: Vec<String>,
    pub(crate) faults: Faults,
    /// Whether the primary has changed sides.
    pub(crate) moved: bool,
    /// The records at the source, by key.
    #[cfg(test)]
    pub(crate) journal: serde_json::Value,
}

#[cfg(test)]
impl Verdict {
    /// The number of the first write that was sent in this step.
    pub(crate) fn write_of(&self, step: &str) -> Option<u64> {
        let started = format!("first tool: Started {{ step: {step} }}");
        let begun = self.trace.iter().position(|line| line.contains(&started))?;
        let mut lines = self.trace.iter().skip(begun);
        lines.find_map(|line| write_in(line))
    }
}

/// Runs the schedule of a seed; `ignores_tests` takes the fence of epochs out of the world.
pub(crate) fn run(seed: u64, ignores_tests: bool) -> Verdict {
    let mut rng = Rng::new(seed);
    let pair = Pair::draw(&mut rng);
    let faults = Faults {
        ignores_tests,
        // Not drawn: what a seed without a Job does stays as it is.
        job_after: seed
            .is_multiple_of(3)
            .then_some(1_000 + 1_000 * (seed % 19)),
        git: (seed % 4 == 1).then(|| Git {
            refuses: [None, None, Some(Part::Source), Some(Part::Target)][(seed / 4 % 4) as usize],
            is_ignored: seed / 16 % 4 == 3,
        }),
        ..Faults::draw(&mut rng, pair, writes(pair))
    };
    run_in(pair, rng, faults)
}

/// Writes of a whole move, counted in one that meets no fault.
pub(crate) fn writes(pair: Pair) -> u64 {
    static COUNTED: LazyLock<BTreeMap<Pair, u64>> = LazyLock::new(|| {
        let count = |pair| {
            let quiet = run_with(pair, 1, Faults::default());
            let numbers = quiet.trace.iter().filter_map(|line| write_in(line));
            (pair, numbers.max().unwrap_or(1))
        };
        Pair::ALL.into_iter().map(count).collect()
    });
    COUNTED.get(&pair).copied().unwrap_or(1)
}

/// The number of the write that a line of a trace tells.
pub(crate) fn write_in(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(" write ")?;
    rest.split(' ').next()?.parse().ok()
}

/// Runs a schedule with these faults, in the world of a seed.
pub(crate) fn run_with(pair: Pair, seed: u64, faults: Faults) -> Verdict {
    run_in(pair, Rng::new(seed), faults)
}

fn run_in(pair: Pair, mut rng: Rng, faults: Faults) -> Verdict {
    let Ok(runtime) = runtime() else {
        return Verdict {
            pair,
            first: First::Left,
            violations: vec!["no runtime".to_owned()],
            trace: Vec::new(),
            faults,
            moved: false,
            #[cfg(test)]
            journal: serde_json::Value::Null,
        };
    };
    runtime.block_on(async {
        let shared = begin(pair, rng.split(), faults.clone());
        let first = Box::pin(play(&shared, &mut rng)).await;
        let mut world = shared.world();
        Verdict {
            pair,
            first,
            violations: std::mem::take(&mut world.violations),
            trace: std::mem::take(&mut world.trace),
            faults,
            moved: world.sites[1].leader().state == State::Primary,
            #[cfg(test)]
            journal: world.sites[0].journal(),
        }
    })
}

/// Its clock is paused, and jumps.
fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
}

/// A world that lives.
fn begin(pair: Pair, rng: Rng, faults: Faults) -> Shared {
    let shared = Shared::new(World::new(pair, rng, faults));
    let beat = shared.clone();
    shared.spawn(async move {
        loop {
            pass(TICK_MS).await;
            let now = beat.now();
            beat.world().tick(now);
        }
    });
    shared
}

/// Moves back and forth, one after the other, in the world of a seed; what must never be.
#[cfg(test)]
pub(crate) fn ping_pong(pair: Pair, seed: u64, moves: usize) -> Vec<String> {
    runtime().unwrap().block_on(async {
        let shared = begin(pair, Rng::new(seed).split(), Faults::default());
        for number in 0..moves {
            let from = number % 2;
            let tool = Tool::new(true);
            let command = Command {
                shared: &shared,
                tool,
                sides: (from, 1 - from),
            };
            let ended = Box::pin(command.switchover()).await;
            if let Err(error) = ended {
                shared.world().violate(&format!("move {number}: {error}"));
                break;
            }
            pass(10_000).await;
        }
        pass(25_000).await;
        judge(&shared, None);
        std::mem::take(&mut shared.world().violations)
    })
}

/// The move, beside it whoever takes it over, and afterwards whatever the last command said.
async fn play(shared: &Shared, rng: &mut Rng) -> First {
    let first = Tool::new(true);
    let command = Command::forward(shared, first.clone());
    let moving = async {
        let ended = live(shared, &first, command.switchover()).await;
        first.leave();
        ended
    };
    let looking_after = Box::pin(look_after(shared, rng, &first));
    let (ended, (), ()) = tokio::join!(
        Box::pin(moving),
        looking_after,
        Box::pin(watch(shared, &first))
    );
    let mut action = if shared.world().faults.aborts {
        Action::Abort
    } else {
        Action::Resume
    };
    note(shared, "the move", ended.as_ref());
    let first = First::of(ended.as_ref());
    see_that_somebody_writes(shared);
    let mut last = None;
    for round in 0..ROUNDS {
        pass(3_000).await;
        heal(shared);
        let tool = Tool::new(false);
        let command = Command::forward(shared, tool);
        let done = Box::pin(command.take_over(action)).await;
        note(
            shared,
            action.name(),
            Some(&done.as_ref().map(drop).map_err(Clone::clone)),
        );
        // Whoever is too late to take it back is told to go on; so is one who sees nobody primary.
        if round > 0 || matches!(&done, Err(error) if error.contains("too late")) {
            action = Action::Resume;
        }
        last = done.clone().err();
        if done == Ok(false) {
            break;
        }
    }
    // The slowest standby asks the archive every five seconds, and a segment is full after as many.
    pass(25_000).await;
    judge(shared, last);
    first
}

fn heal(shared: &Shared) {
    let mut world = shared.world();
    world.archive.broken_until = 0;
    world.link_until = 0;
    for site in &mut world.sites {
        site.down_until = 0;
        for member in &mut site.members {
            member.never_up = false;
        }
    }
}

/// A second operator who does not wait for the first: a tool that stands still wakes up beside him.
async fn look_after(shared: &Shared, rng: &mut Rng, first: &Tool) {
    let mut held = first.held.subscribe();
    let stands_still = held.wait_for(|held| *held != crate::server::Held::No);
    let is_taken_over =
        tokio::time::timeout(std::time::Duration::from_secs(20), stands_still).await;
    if !is_taken_over.is_ok_and(|seen| seen.is_ok()) || first.is_dead() {
        return;
    }
    pass(rng.between(50, 3_000)).await;
    let action = if shared.world().faults.aborts {
        Action::Abort
    } else {
        Action::Resume
    };
    let tool = Tool::new(false);
    let command = Command::forward(shared, tool);
    let done = Box::pin(command.take_over(action)).await;
    note(shared, "beside it", Some(&done.map(drop)));
}

/// Whom a Job watches, he leaves nobody without a primary, unless he died between the decision and the promotion.
fn see_that_somebody_writes(shared: &Shared) {
    let mut world = shared.world();
    // One that has crashed starts again as what its configuration says.
    let somebody = world.sites.iter().any(|site| !site.wants_standby());
    let is_excused = somebody || world.sites[0].says_promoting();
    if world.faults.job_after.is_some() && !is_excused {
        world.violate("I4: nobody is primary after the Job's end");
    }
}

/// The Job at the source, which the kubelet starts again when it fails.
async fn watch(shared: &Shared, first: &Tool) {
    let Some(after) = shared.world().faults.job_after else {
        return;
    };
    while !shared.world().sites[0].has_record() {
        if first.is_dead() {
            return;
        }
        pass(100).await;
    }
    for _ in 0..STARTS {
        let tool = Tool::new(false);
        let command = Command::forward(shared, tool);
        let done = Box::pin(command.deadline(after)).await;
        note(shared, "the Job", Some(&done.clone().map(drop)));
        if done == Ok(WentBack::Yes) && shared.world().sites[0].leader().state != State::Primary {
            shared
                .world()
                .violate("the Job has gone back, and the source is not primary");
        }
        if done.is_ok() {
            return;
        }
        pass(5_000).await;
        heal(shared);
    }
    shared.world().violate("the Job never came to its end");
}

fn note(shared: &Shared, what: &str, ended: Option<&Result<(), String>>) {
    let mut world = shared.world();
    world.now = shared.now();
    let text = match ended {
        None => format!("{what}: killed"),
        Some(Ok(())) => format!("{what}: done"),
        Some(Err(error)) => format!("{what}: {error}"),
    };
    world.say(&text);
}

/// What must be so when everything is over.
fn judge(shared: &Shared, last: Option<String>) {
    let mut world = shared.world();
    world.now = shared.now();
    let primaries = world
        .sites
        .iter()
        .filter(|site| site.leader().state == State::Primary);
    if primaries.count() != 1 {
        let said = last.unwrap_or_else(|| "nothing is left to do".to_owned());
        world.violate(&format!(
            "I4: nobody is primary, and the last command says: {said}"
        ));
        return;
    }
    if let Some(said) = last {
        world.violate(&format!("I4: a command cannot finish: {said}"));
    }
    let at = usize::from(world.sites[1].leader().state == State::Primary);
    let log = world.sites[at].leader().log;
    let missing = world
        .rows
        .iter()
        .filter(|row| !world.branches.holds(log, **row))
        .count();
    if missing > 0 {
        let all = world.rows.len();
        world.violate(&format!(
            "I2: {missing} of {all} acknowledged rows are not on the primary"
        ));
    }
    for index in 0..2 {
        let members = world.sites[index].members.clone();
        for member in members {
            if !world.branches.holds(log, member.log) {
                world.violate(&format!(
                    "I7: {} has forked off and can never follow",
                    member.pod
                ));
            } else if log.at - member.log.at > 8 * crate::wal::SEGMENT {
                world.violate(&format!("I4: {} does not follow", member.pod));
            }
        }
        if let Some(left) = left_behind(&world.sites[index]) {
            world.violate(&format!("I9: {left}"));
        }
    }
}

/// A hold or a setting of a move that is still there.
fn left_behind(site: &Site) -> Option<String> {
    if site.spec.paused {
        return Some(format!("the operator of {} is held", site.name));
    }
    let wanted = Site::rendered(&site.spec);
    (site.config != wanted).then(|| {
        format!(
            "{} has settings that its operator does not render: {}",
            site.name, site.config
        )
    })
}
