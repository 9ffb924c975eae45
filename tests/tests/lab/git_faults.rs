//! What may go wrong in a repository, or with who may write to it, before and in the middle of a move that Git leads: the move is
//! refused or goes back, and whoever is held because Git does not answer is let go by `release`. On the real Flux.

use anyhow::{Context as _, Result, ensure};
use pgha_lab::gitops::git;
use pgha_lab::gitops::{Deployer, Platform};
use pgha_lab::paths::Cache;
use pgha_tests::pair::event;
use pgha_tests::say;

use crate::owned::{House, ended};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A colleague pushes a render that fails.
    RenderFails,
    /// A colleague pushes a render that changes an object of the other site, and a file of neither.
    RenderTouchesMore,
    /// The key may only read.
    PushDenied,
    /// The key is not known any more.
    KeyExpired,
}

/// When it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Before,
    At(&'static str),
}

/// With which code the move ends, and whether the owners stay held.
const CASES: [(Fault, When, i32, bool); 11] = [
    (Fault::RenderFails, When::Before, 3, false),
    (Fault::RenderFails, When::At(event::HELD), 4, false),
    (Fault::RenderFails, When::At(event::FENCED), 4, false),
    (Fault::RenderTouchesMore, When::Before, 3, false),
    (Fault::RenderTouchesMore, When::At(event::HELD), 4, false),
    (Fault::RenderTouchesMore, When::At(event::FENCED), 4, false),
    // Nothing is pushed before the owners are held.
    (Fault::PushDenied, When::Before, 4, false),
    (Fault::PushDenied, When::At(event::FENCED), 4, true),
    (Fault::KeyExpired, When::Before, 3, false),
    (Fault::KeyExpired, When::At(event::HELD), 4, true),
    (Fault::KeyExpired, When::At(event::FENCED), 4, true),
];

#[test]
fn what_goes_wrong_in_git_ends_where_it_began() -> Result<()> {
    let Some(house) = House::open(Deployer::Flux)? else {
        return Ok(());
    };
    for (fault, when, code, held) in CASES {
        let what = format!("{fault:?} {when:?}");
        meets(&house, fault, when, code, held).with_context(|| what.clone())?;
        say(&format!("{what} ended well"));
    }
    house.owned.is_left_well(house.from)
}

fn meets(house: &House, fault: Fault, when: When, code: i32, held: bool) -> Result<()> {
    let owned = &house.owned;
    let ended = match when {
        When::Before => {
            fault.begin(house)?;
            let moved = owned.moving(&house.file, house.from, &[])?;
            ended(moved)
        }
        When::At(event) => {
            let moving = house.moving(&[], event)?;
            fault.begin(house)?;
            pgha_tests::finish(moving)
        }
    };
    let are_held = owned.are_held(held);
    let primary = owned.pair.primary();
    fault.end(house)?;
    let ended = ended?;
    ensure!(ended.code == Some(code), "{ended:?}");
    are_held?;
    ensure!(primary? == house.from, "the primary has moved");
    if held {
        let released = owned.release_by(&house.file)?;
        ensure!(released.code == Some(0), "{released:?}");
        owned.are_held(false)?;
    }
    owned.pair.is_well(house.from)?;
    let differs = house.colleague()?;
    let differs = differs.git(&["diff", "--stat", &house.tip, "origin/main"])?;
    ensure!(differs.is_empty(), "Git says something else: {differs}");
    Ok(())
}

impl Fault {
    fn begin(self, house: &House) -> Result<()> {
        let cache = Cache::in_use()?;
        let other = Platform::rendered(house.from.other());
        match self {
            Self::RenderFails => render(house, "echo 'it is broken' >&2; exit 1"),
            Self::RenderTouchesMore => render(
                house,
                &format!("echo more >>notes.txt; echo '# more' >>{other}/more.yaml"),
            ),
            Self::PushDenied => {
                let denies = "echo 'this key may only read' >&2; exit 1";
                git::before_a_push(&cache, house.owned.pair.kind.cluster, Some(denies))
            }
            Self::KeyExpired => git::answer_with(&cache, Some(401)),
        }
    }

    fn end(self, house: &House) -> Result<()> {
        let cache = Cache::in_use()?;
        match self {
            Self::RenderFails | Self::RenderTouchesMore => {
                let tree = house.colleague()?;
                tree.git(&["checkout", "--quiet", &house.tip, "--", RENDER])?;
                tree.commit(&[RENDER], "Mend the render")?;
                tree.push()
            }
            Self::PushDenied => git::before_a_push(&cache, house.owned.pair.kind.cluster, None),
            Self::KeyExpired => git::answer_with(&cache, None),
        }
    }
}

/// What renders.
const RENDER: &str = "render.sh";

/// A colleague pushes a render that does this at its end.
fn render(house: &House, shell: &str) -> Result<()> {
    let tree = house.colleague()?;
    let file = tree.folder().join(RENDER);
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(&file, format!("{text}{shell}\n"))?;
    tree.commit(&[RENDER], "Change the render")?;
    tree.push()
}

/// Somebody else pushes right before each push of the move arrives: each is made anew on what is there then.
#[test]
fn a_move_that_loses_every_first_push_comes_through() -> Result<()> {
    let Some(house) = House::open(Deployer::Flux)? else {
        return Ok(());
    };
    let (owned, cache) = (&house.owned, Cache::in_use()?);
    let faster = "unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
[ \"$(git log -1 --format=%s main)\" = 'Be faster' ] && exit 0
export GIT_AUTHOR_NAME=c GIT_AUTHOR_EMAIL=c@example.org GIT_COMMITTER_NAME=c GIT_COMMITTER_EMAIL=c@example.org
git update-ref refs/heads/main \"$(git commit-tree -p main -m 'Be faster' 'main^{tree}')\"";
    git::before_a_push(&cache, owned.pair.kind.cluster, Some(faster))?;
    let moved = ended(owned.moving(&house.file, house.from, &[])?);
    git::before_a_push(&cache, owned.pair.kind.cluster, None)?;
    let moved = moved?;
    ensure!(moved.code == Some(0), "{moved:?}");
    let (name, from, to) = (owned.pair.kind.cluster, house.from, house.from.other());
    let wanted = [
        "Be faster".to_owned(),
        format!("{name}: make {from} a standby"),
        "Be faster".to_owned(),
        format!("{name}: make {to} the primary"),
    ];
    ensure!(house.subjects()? == wanted, "{:?}", house.subjects()?);
    owned.is_left_well(to)
}
