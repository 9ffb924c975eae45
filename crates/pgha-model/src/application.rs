//! The application: what runs, or is told to do its work, only where the primary is.
//!
//! Each step says what is so where the primary is, and what where the standby is. Leaving a site takes the steps in reverse
//! order, so that what depends on others stops before them; entering one takes them in order.

mod object;
mod step;
mod wrong;

use serde::{Deserialize, Serialize};

use crate::record::{Entry, Epoch, Journal};

pub use object::{At, ObjectName, ResourceName};
pub use step::{
    Annotate, AppStep, Call, Job, Method, Request, Restart, Scale, Select, Side, Url, Wait,
};
pub use wrong::contradiction;

/// How many pods a workload had before it was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// Which.
    #[serde(flatten)]
    pub at: At,
    /// How many.
    pub replicas: u32,
}

/// The steps, with the counts to which workloads are started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Application {
    /// In the order in which they are started.
    pub steps: Vec<AppStep>,
    /// One for each workload that is to run.
    pub counts: Vec<Count>,
}

impl Application {
    /// To how many pods a workload is started; `None` for one that is not.
    pub fn count(&self, at: &At) -> Option<u32> {
        let count = self.counts.iter().find(|count| count.at == *at)?;
        (count.replicas > 0).then_some(count.replicas)
    }
}

/// The counts that the newest move noted which stopped an application.
pub fn last_counts(journals: &[&Journal]) -> Vec<Count> {
    let records = journals.iter().flat_map(|journal| &journal.moves);
    let counted = records.filter_map(|(epoch, entry)| match entry {
        Entry::Readable(record) if !record.application.is_empty() => {
            Some((*epoch, &record.application))
        }
        Entry::Readable(_) | Entry::Unreadable(_) => None,
    });
    let newest: Option<(Epoch, _)> = counted.max_by_key(|(epoch, _)| *epoch);
    newest.map(|(_, counts)| counts.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn steps(text: serde_json::Value) -> Result<Vec<AppStep>, serde_json::Error> {
        serde_json::from_value(text)
    }

    #[test]
    fn a_workload_that_did_not_run_is_not_started() {
        let steps = steps(json!([{"scale": {"object": "sts/a"}}, {"scale": {"object": "sts/b"}}]));
        let steps = steps.unwrap();
        let at = |step: &AppStep| step.object().unwrap();
        let (a, b) = (at(&steps[0]), at(&steps[1]));
        let counts = vec![
            Count {
                at: a.clone(),
                replicas: 2,
            },
            Count {
                at: b.clone(),
                replicas: 0,
            },
        ];
        let application = Application { steps, counts };
        assert_eq!(
            (application.count(&a), application.count(&b)),
            (Some(2), None)
        );
    }

    #[test]
    fn the_newest_move_that_noted_counts_is_believed() {
        let noted = |epoch: u64, replicas: Option<u32>| {
            let mut record = crate::record::tests::record(epoch);
            record.application = replicas
                .map(|replicas| Count {
                    at: At {
                        object: "sts/x".parse().unwrap(),
                        namespace: None,
                    },
                    replicas,
                })
                .into_iter()
                .collect();
            (Epoch(epoch), Entry::Readable(Box::new(record)))
        };
        let journal = |moves: Vec<(Epoch, Entry)>| Journal {
            epoch: Epoch(9),
            moves: moves.into_iter().collect(),
        };
        let here = journal(vec![noted(3, Some(1)), noted(7, None)]);
        let there = journal(vec![noted(5, Some(4))]);
        let counts = last_counts(&[&here, &there]);
        assert_eq!(counts.iter().map(|it| it.replicas).collect::<Vec<_>>(), [4]);
        assert_eq!(last_counts(&[]), []);
    }
}
