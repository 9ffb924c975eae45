//! What one server says of the records of a zone, asked directly.

use std::collections::BTreeMap;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use pgha_dns::{DnsName, Kind, Lifetimes, Record as Data, Records, RouteSettings};
use pgha_nlb::{CutoverError, Fence, Route};
use sha2::{Digest as _, Sha256};

use crate::Settings;
use crate::records::{read_data, read_name, type_of, wire_name};
use crate::wire::{Conversation, Failed, within};

/// Reads until nobody writes between the first answer and the last.
const READS: usize = 3;

/// Records with their lifetimes, in seconds.
pub(crate) type Seen = BTreeMap<Data, u32>;

/// The records of one moment.
#[derive(Clone, Debug)]
pub struct Zone {
    pub(crate) serial: u32,
    pub(crate) names: BTreeMap<DnsName, Seen>,
}

impl Zone {
    /// Asks a server for every record of the routes.
    pub(crate) async fn look(
        settings: &Settings,
        server: &str,
        time: Duration,
    ) -> Result<Self, CutoverError> {
        within(time, "observe the records", server, read(settings, server)).await
    }

    pub(crate) fn seen(&self, name: &DnsName) -> Seen {
        self.names.get(name).cloned().unwrap_or_default()
    }

    pub(crate) fn records(&self, name: &DnsName) -> Records {
        self.seen(name).into_keys().collect()
    }

    /// Each record with its lifetime, one a line.
    pub(crate) fn text(&self) -> String {
        let lines = self.names.iter().flat_map(|(name, seen)| {
            seen.iter()
                .map(move |(data, ttl)| format!("{name} {ttl} {data}\n"))
        });
        lines.collect()
    }

    pub(crate) fn fence(&self) -> Fence {
        let digest = Sha256::digest(self.text());
        let digest = hex::encode(&digest[..8]);
        Fence::from(format!("serial {}, {digest}", self.serial))
    }

    /// Where a route leads.
    pub(crate) fn route(&self, route: &RouteSettings) -> Route {
        let seen = self.seen(&route.record);
        route.leading(&self.records(&route.record), &lifetimes_of(&seen))
    }
}

pub(crate) fn lifetimes_of(seen: &Seen) -> Lifetimes {
    seen.iter().map(|(data, ttl)| (data.kind(), *ttl)).collect()
}

async fn read(settings: &Settings, server: &str) -> Result<Zone, Failed> {
    let mut conversation = Conversation::open(server).await?;
    for _ in 0..READS {
        let serial = serial(&mut conversation, &settings.zone).await?;
        let mut names = BTreeMap::new();
        for route in &settings.routes {
            let mut seen = Seen::new();
            for kind in Kind::ALL {
                let records = ask(&mut conversation, &route.record, type_of(kind)).await?;
                let records = records
                    .iter()
                    .filter_map(|record| Some((read_data(&record.data)?, record.ttl)));
                seen.extend(records);
            }
            names.insert(route.record.clone(), seen);
        }
        if self::serial(&mut conversation, &settings.zone).await? == serial {
            return Ok(Zone { serial, names });
        }
    }
    Err(Failed::Unfit(
        "the zone changes while it is read".to_owned(),
    ))
}

async fn serial(conversation: &mut Conversation, zone: &DnsName) -> Result<u32, Failed> {
    let records = ask(conversation, zone, RecordType::SOA).await?;
    let serial = records.iter().find_map(|record| {
        if let RData::SOA(soa) = &record.data {
            Some(soa.serial)
        } else {
            None
        }
    });
    serial.ok_or_else(|| Failed::Unfit(format!("{zone} is no zone of its own there")))
}

/// The records of this name and type; what a CNAME leads to is not among them.
async fn ask(
    conversation: &mut Conversation,
    name: &DnsName,
    kind: RecordType,
) -> Result<Vec<Record>, Failed> {
    let mut message = Message::query();
    message.add_query(Query::query(wire_name(name)?, kind));
    let (answer, _) = conversation.ask(&message).await?;
    let code = answer.response_code;
    if !answer.authoritative || !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Err(Failed::Unfit(format!(
            "it does not answer for {name} by its own authority ({code})"
        )));
    }
    let is_asked = |record: &Record| {
        read_name(&record.name).as_ref() == Some(name) && record.record_type() == kind
    };
    Ok(answer.answers.into_iter().filter(is_asked).collect())
}
