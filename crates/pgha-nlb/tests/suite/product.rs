//! What becomes of a change whose answer is good, is a no, or does not come.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use pgha_model::effect::Effect;
use pgha_nlb::plan::plan_changes;
use pgha_nlb::state::Place;
use pgha_nlb::{
    Capabilities, Change, Cutover as _, CutoverError, Descriptor, Did, Layer, Looked, Order,
    Problem, Product, Receipt, Refusal, Route, RouteState, SiteName, SiteValues, Written,
};

use crate::memory::site;

const WITHIN: Duration = Duration::from_secs(1);

/// What the product says to a change.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Shown,
    Taken,
    Denied,
    Lost,
    Failed,
}

#[derive(Debug, Default)]
struct Table {
    values: [&'static str; 2],
    looks: u32,
    writes: u32,
    is_gone: bool,
}

/// A product that makes so many of the changes, and then answers.
#[derive(Debug)]
struct Script {
    answer: Answer,
    made: usize,
    vanishes: bool,
    table: Mutex<Table>,
}

fn script(answer: Answer, made: usize) -> Script {
    let table = Table {
        values: ["b", "b"],
        ..Table::default()
    };
    Script {
        answer,
        made,
        vanishes: false,
        table: Mutex::new(table),
    }
}

impl Script {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap()
    }

    fn state(&self) -> RouteState {
        let pair = |name: &str| (site(name), name.to_owned());
        let sites = SiteValues::new([pair("a"), pair("b")]).unwrap();
        let values = self.table().values;
        let routes = ["https", "http"].iter().zip(values).map(|(name, value)| {
            let (at, value) = ((*name).to_owned(), value.to_owned());
            Route::of_places(&(*name).into(), vec![Place { at, value }], &sites)
        });
        RouteState {
            fence: values.join(" ").into(),
            routes: routes.collect(),
            documents: Vec::new(),
        }
    }

    async fn applied(&self) -> Result<Receipt, CutoverError> {
        let plan = self.plan(&self.state(), &site("a")).unwrap();
        self.apply(&plan, WITHIN).await
    }

    async fn effect(&self) -> Effect {
        let error = self.applied().await.unwrap_err();
        assert_eq!(self.table().writes, 1, "{error}");
        error.effect
    }
}

#[async_trait]
impl Product for Script {
    type Details = ();

    const REACHED: &'static str = "script-reached";
    const ROUTE: (&'static str, &'static str) = ("script-route", "Look.");

    fn descriptor(&self) -> Descriptor {
        Descriptor {
            id: "script".into(),
            kind: "script",
            at: "here".to_owned(),
            layer: Layer::Outside,
            capabilities: Capabilities {
                compare_and_swap: false,
                atomic: false,
                persistent: false,
                needs_reload: false,
            },
            settles_in: Duration::ZERO,
        }
    }

    async fn look(&self, _within: Duration) -> Result<Looked<()>, CutoverError> {
        self.table().looks += 1;
        if self.table().is_gone {
            return Err(CutoverError::new("look", "here", Problem::Unreachable, ""));
        }
        Ok(self.state().into())
    }

    fn changes(&self, seen: &RouteState, to: &SiteName) -> Result<Vec<Change>, Refusal> {
        plan_changes(seen, to, |_| Some(to.to_string()))
    }

    async fn write(
        &self,
        _order: &Order<'_, ()>,
        within: Duration,
    ) -> Result<Written<()>, CutoverError> {
        let mut table = self.table();
        table.writes += 1;
        table.values[..self.made].fill("a");
        table.is_gone = self.vanishes;
        drop(table);
        let error = |problem| CutoverError::new("write", "here", problem, "");
        let said = "no".to_owned();
        match self.answer {
            Answer::Shown => Ok(Written::Shown(self.state().into())),
            Answer::Taken => Ok(Written::Taken(vec!["It is done.".to_owned()])),
            Answer::Denied => Ok(Written::Denied(error(Problem::Denied { said }))),
            Answer::Lost => Ok(Written::Lost(error(Problem::NoAnswer { within }))),
            Answer::Failed => Err(error(Problem::Unreachable)),
        }
    }

    fn evidence(&self, order: Option<&Order<'_, ()>>, _now: &Looked<()>) -> Vec<String> {
        vec![order.map_or("It is so.", |_| "It was made so.").to_owned()]
    }
}

#[tokio::test]
async fn what_is_shown_afterwards_is_the_receipt() {
    for (answer, looks, told) in [
        (Answer::Shown, 1, ""),
        (Answer::Taken, 2, "It is done."),
        (Answer::Denied, 2, "answer was lost"),
        (Answer::Lost, 2, "answer was lost"),
    ] {
        let script = script(answer, 2);
        let receipt = script.applied().await.unwrap();
        assert_eq!(
            (receipt.did, receipt.fence.as_str()),
            (Did::Change, "a a"),
            "{answer:?}"
        );
        let evidence = receipt.evidence.join(" ");
        assert!(evidence.starts_with("It was made so."), "{evidence}");
        assert!(evidence.contains(told), "{answer:?}: {evidence}");
        assert_eq!(script.table().looks, looks, "{answer:?}");
        let again = script.applied().await.unwrap();
        assert_eq!((again.did, script.table().writes), (Did::Nothing, 1));
        assert_eq!(again.evidence, ["It is so."]);
    }
}

#[tokio::test]
async fn only_a_no_that_changed_nothing_left_nothing_behind() {
    for (answer, made, effect) in [
        (Answer::Denied, 0, Effect::None),
        (Answer::Denied, 1, Effect::Unknown),
        (Answer::Lost, 0, Effect::Unknown),
        (Answer::Lost, 1, Effect::Unknown),
        (Answer::Taken, 0, Effect::Unknown),
        (Answer::Taken, 1, Effect::Unknown),
    ] {
        let script = script(answer, made);
        assert_eq!(script.effect().await, effect, "{answer:?} {made}");
    }
}

#[tokio::test]
async fn an_error_of_the_write_itself_is_not_looked_after() {
    let script = script(Answer::Failed, 0);
    assert_eq!(script.effect().await, Effect::None);
    assert_eq!(script.table().looks, 1);
}

#[tokio::test]
async fn who_cannot_be_asked_afterwards_is_unknown() {
    for (answer, tried) in [
        (Answer::Taken, "look"),
        (Answer::Denied, "write"),
        (Answer::Lost, "write"),
    ] {
        let script = Script {
            vanishes: true,
            ..script(answer, 2)
        };
        let error = script.applied().await.unwrap_err();
        assert_eq!((error.tried, error.effect), (tried, Effect::Unknown));
    }
}
