//! The search: two tools, two sites, and what strikes them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pgha_model::event::Standing;
use stateright::{Checker as _, HasDiscoveries, Model, Property};

use crate::ending;
use crate::perform::perform;
use crate::request::{Fate, is_ready, is_write, may_fail};
use crate::tool::{Kind, Run, Tool};
use crate::world::{A, B, Guards, Own, What, World, Write};

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Act {
    /// A tool sends its next request.
    Tool(usize, Fate),
    Kill(usize),
    Own(Own),
    /// A write arrives whose sender waits no longer.
    Arrive,
    Down(usize),
    Up(usize),
    /// A person, or what deploys for one, makes the source's object a primary's again while it is held.
    Revert,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) tools: [Tool; 2],
    /// How many faults may still strike.
    pub(crate) faults: u8,
}

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    pub(crate) guards: Guards,
    pub(crate) kinds: [Kind; 2],
    pub(crate) faults: u8,
    /// Whether what a move has left is judged even when a write of it arrived after its end.
    pub(crate) with_strays: bool,
}

impl State {
    /// Whether no tool does anything any more, and the sites are at rest.
    pub(crate) fn is_quiet(&self) -> bool {
        let busy = self.tools.iter().any(Tool::is_active);
        !busy && self.world.own().next().is_none()
    }

    /// Whether the write is of a tool that has already looked for what it had written, or has ended and left nothing.
    pub(crate) fn is_stray(&self, write: &Write) -> bool {
        let sender = self.tools.get(usize::from(write.by));
        let is_record = matches!(write.what, What::Record { .. });
        let is_ended = self.world.has_ended(write.epoch);
        let is_done = |tool: &Tool| tool.is_past_undo(write) || tool.is_content();
        !is_record && (is_ended || sender.is_some_and(is_done))
    }
}

impl Search {
    /// A late write of a move that ended well is nobody's until the next move; see `a_write_after_the_end` in the tests.
    const fn spares(&self, state: &State) -> bool {
        state.world.stray && !self.with_strays
    }

    fn of_tool(&self, state: &State, index: usize, actions: &mut Vec<Act>) {
        let tool = &state.tools[index];
        if tool.run == Run::Idle {
            actions.push(Act::Tool(index, Fate::Answered));
            return;
        }
        let Some(todo) = tool.todo().filter(|_| tool.is_active()) else {
            return;
        };
        if is_ready(tool, &state.world, self.guards) {
            actions.push(Act::Tool(index, Fate::Answered));
        }
        if state.faults == 0 {
            return;
        }
        actions.push(Act::Kill(index));
        if may_fail(todo) {
            actions.push(Act::Tool(index, Fate::Refused));
        }
        if is_write(todo) {
            actions.push(Act::Tool(index, Fate::Lost));
            if state.world.late.is_none() {
                actions.push(Act::Tool(index, Fate::Late));
            }
        }
    }
}

impl Model for Search {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            world: World::new(),
            tools: [Tool::new(0, self.kinds[0]), Tool::new(1, self.kinds[1])],
            faults: self.faults,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Act>) {
        if state.world.has_two_primaries() {
            return;
        }
        for index in 0..2 {
            self.of_tool(state, index, actions);
        }
        actions.extend(state.world.own().map(Act::Own));
        if state.world.late.is_some() {
            actions.push(Act::Arrive);
        }
        for (at, site) in state.world.sites.iter().enumerate() {
            if site.down {
                actions.push(Act::Up(at));
            } else if state.faults > 0 && state.tools.iter().any(Tool::is_active) {
                actions.push(Act::Down(at));
            }
        }
        let source = state.world.sites[A].object;
        if state.faults > 0 && source.held && source.standby {
            actions.push(Act::Revert);
        }
    }

    fn next_state(&self, last: &State, action: Act) -> Option<State> {
        let mut state = last.clone();
        let is_fault = match action {
            Act::Tool(_, fate) => fate != Fate::Answered,
            Act::Kill(_) | Act::Down(_) | Act::Revert => true,
            Act::Own(_) | Act::Arrive | Act::Up(_) => false,
        };
        state.faults -= u8::from(is_fault);
        match action {
            Act::Tool(index, fate) => {
                step(&mut state.world, &mut state.tools, index, fate, self.guards);
            }
            Act::Kill(index) => {
                state.tools[index].become_one(Run::Dead);
            }
            Act::Own(own) => state.world.carry_out(own),
            Act::Arrive => {
                if let Some(write) = state.world.late.take() {
                    state.world.stray |= state.is_stray(&write);
                    arrive(&mut state.world, &mut state.tools, &write, self.guards);
                }
            }
            Act::Down(at) => state.world.sites[at].down = true,
            Act::Up(at) => state.world.sites[at].down = false,
            Act::Revert => state.world.sites[A].object.standby = false,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always("never two writable sides", |_, state| {
                !state.world.has_two_primaries()
            }),
            Property::<Self>::always("promoted only with everything", |_, state| {
                !state.world.broken.incomplete_promotion
            }),
            Property::<Self>::always("promotion sent once an epoch", |_, state| {
                !state.world.broken.sent_twice
            }),
            Property::<Self>::always("nothing of an earlier epoch has effect", |_, state| {
                !state.world.broken.late_effect
            }),
            Property::<Self>::always("ends somewhere, or says what to do", |model, state| {
                model.spares(state) || ending::is_told(state)
            }),
            Property::<Self>::always("without a fault nobody is left", |model, state| {
                // The Job may take a living move over, and leaves the target to whoever comes next.
                model.kinds.contains(&Kind::Deadline)
                    || ending::is_whole_without_fault(state, model.faults)
            }),
            Property::<Self>::always("whatever is left can be taken over", |model, state| {
                model.spares(state) || ending::can_be_taken_over(state, model.guards)
            }),
            Property::<Self>::sometimes(REACHED[0], |_, state| {
                state.world.primary() == Some(B) && state.is_quiet()
            }),
            Property::<Self>::sometimes(REACHED[1], |_, state| {
                let back = Run::Over(Some(Standing::BackAtSource));
                state.tools.iter().any(|tool| tool.run == back)
            }),
        ]
    }
}

/// A tool's next request, or its beginning.
pub(crate) fn step<const N: usize>(
    world: &mut World,
    tools: &mut [Tool; N],
    index: usize,
    fate: Fate,
    guards: Guards,
) {
    tools[index].run = Run::Busy;
    if let Some(site) = perform(&mut tools[index], world, fate, guards) {
        forget(tools, site, Some(index));
    }
}

pub(crate) fn arrive(world: &mut World, tools: &mut [Tool], write: &Write, guards: Guards) {
    let is_record = matches!(write.what, What::Record { .. });
    if world.arrive(write, guards) && is_record {
        forget(tools, write.site, None);
    }
}

/// A record was written: what others have seen of it is old.
fn forget(tools: &mut [Tool], site: usize, writer: Option<usize>) {
    for (index, tool) in tools.iter_mut().enumerate() {
        if Some(index) != writer {
            tool.fresh[site] = false;
        }
    }
}

/// What a search must come to, or it has not searched what it is for.
const REACHED: [&str; 2] = [
    "a move ends at the target",
    "a move goes back after its fence",
];

/// What a search has found.
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) took: Duration,
    /// Whether moves have ended in both ways.
    pub(crate) is_whole: bool,
    /// Each broken property, and the shortest way there.
    pub(crate) broken: Vec<(&'static str, String)>,
}

/// Searches everything, or until these properties are found broken.
pub(crate) fn search(search: Search, until: &[&'static str]) -> Found {
    let begun = Instant::now();
    let until = if until.is_empty() {
        HasDiscoveries::AnyFailures
    } else {
        HasDiscoveries::AnyOf(until.iter().copied().collect::<BTreeSet<_>>())
    };
    let checker = search.checker().threads(2).finish_when(until);
    let checker = checker.spawn_bfs().join();
    let discoveries = checker.discoveries();
    let is_whole = REACHED.iter().all(|name| discoveries.contains_key(name));
    let broken = discoveries.into_iter();
    let broken = broken.filter(|(name, _)| !REACHED.contains(name));
    let broken = broken.map(|(name, path)| {
        let last = path.last_state().clone();
        let acts: Vec<_> = path.into_actions();
        let acts: Vec<_> = acts.iter().map(|act| format!("{act:?}")).collect();
        (name, format!("{}\n{last:#?}", acts.join("\n")))
    });
    Found {
        states: checker.unique_state_count(),
        took: begun.elapsed(),
        is_whole,
        broken: broken.collect(),
    }
}
