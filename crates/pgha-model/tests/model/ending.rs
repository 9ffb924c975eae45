//! What is left when nobody does anything any more, and whether it can be taken over.

use pgha_model::event::Standing;

use crate::request::{Fate, is_ready};
use crate::system::{State, arrive, step};
use crate::tool::{Kind, Run, Tool};
use crate::world::{Guards, World};

/// More requests than any command sends.
const STEPS: usize = 400;

/// There is one primary and nothing is held, or somebody knows that it is not so.
pub(crate) fn is_told(state: &State) -> bool {
    if !state.is_quiet() || is_whole(&state.world) {
        return true;
    }
    let told = state.tools.iter().any(|tool| match tool.run {
        Run::Dead => true,
        Run::Over(standing) => standing.is_some_and(is_instruction),
        Run::Idle | Run::Busy => false,
    });
    told || state.world.is_open()
}

/// Whether a tool that ends so prints what to do next.
const fn is_instruction(standing: Standing) -> bool {
    !matches!(standing, Standing::Unchanged | Standing::BackAtSource)
}

fn is_whole(world: &World) -> bool {
    let is_held = world.sites.iter().any(|site| site.object.held);
    world.primary().is_some() && !is_held && !world.is_open()
}

/// A tool that no fault strikes ends as it means to, whatever the other one does.
pub(crate) fn is_whole_without_fault(state: &State, faults: u8) -> bool {
    state.faults < faults || !state.is_quiet() || is_whole(&state.world)
}

/// Both commands end with one primary, whether or not a late write still arrives.
pub(crate) fn can_be_taken_over(state: &State, guards: Guards) -> bool {
    if state.tools.iter().any(Tool::is_active) || state.world.has_two_primaries() {
        return true;
    }
    let mut arrived = state.clone();
    if arrived
        .world
        .late
        .is_some_and(|write| state.is_stray(&write))
    {
        arrived.world.late = None;
    }
    let waiting = arrived.clone();
    if let Some(write) = arrived.world.late.take() {
        arrive(&mut arrived.world, &mut arrived.tools, &write, guards);
    }
    let worlds = [waiting.world, arrived.world];
    let kinds = [Kind::Resume, Kind::Abort];
    worlds.into_iter().all(|world| {
        kinds
            .into_iter()
            .all(|kind| ends_whole(world.clone(), kind, guards))
    })
}

fn ends_whole(mut world: World, kind: Kind, guards: Guards) -> bool {
    for site in &mut world.sites {
        site.down = false;
    }
    rest(&mut world);
    // What was given up may arrive at last, when its place has been taken.
    let late = world.late;
    for kind in [kind, Kind::Resume] {
        carry_through(&mut world, kind, guards);
    }
    let whole = is_whole(&world) || stands_still(&world);
    if let Some(write) = late {
        world.late = None;
        world.arrive(&write, guards);
        // It may be a record that nobody knew of.
        carry_through(&mut world, Kind::Resume, guards);
    }
    whole && !world.has_two_primaries() && (is_whole(&world) || stands_still(&world))
}

/// Two standbys of which no record is open: `promote` is what is left to do, and nothing stands against it.
fn stands_still(world: &World) -> bool {
    let both = world
        .sites
        .iter()
        .all(|site| !site.writes() && site.complete);
    both && !world.is_open()
}

fn carry_through(world: &mut World, kind: Kind, guards: Guards) {
    let mut tools = [Tool::new(2, kind)];
    for _ in 0..STEPS {
        rest(world);
        let ready = is_ready(&tools[0], world, guards) || tools[0].run == Run::Idle;
        if !ready {
            break;
        }
        step(world, &mut tools, 0, Fate::Answered, guards);
    }
    rest(world);
}

/// Everything happens that the sites do by themselves.
fn rest(world: &mut World) {
    for _ in 0..STEPS {
        let Some(own) = world.own().next() else {
            break;
        };
        world.carry_out(own);
    }
}
