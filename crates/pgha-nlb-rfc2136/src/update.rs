//! One UPDATE message (RFC 2136), signed, and what the primary says to it.

use hickory_proto::op::update_message::UpdateMessage as _;
use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigError;
use hickory_proto::rr::{DNSClass, Record, RecordType, TSigner};
use pgha_dns::{DnsName, Kind, Record as Data};

use crate::records::{type_of, wire_data, wire_name};
use crate::wire::{Conversation, Failed};
use crate::zone::Seen;

/// A name as it was seen, and as it shall be.
#[derive(Clone, Debug)]
pub(crate) struct Swap {
    pub(crate) name: DnsName,
    pub(crate) seen: Seen,
    pub(crate) wanted: Seen,
}

/// What the primary said.
#[derive(Debug)]
pub(crate) enum Said {
    /// All of it was done.
    Done,
    /// A precondition does not hold, so nothing was done.
    Unmet(ResponseCode),
    /// It refuses, so nothing was done.
    Denied(String),
}

/// A message that makes all swaps or none: on the condition that each name is as it was seen.
pub(crate) fn swaps(zone: &DnsName, swaps: &[Swap]) -> Result<Message, Failed> {
    let mut message = empty(zone)?;
    for Swap { name, seen, .. } in swaps {
        for kind in Kind::ALL {
            let records = of_type(seen, kind);
            if records.is_empty() {
                message.add_pre_requisite(marker(name, type_of(kind), DNSClass::NONE)?);
            }
            for data in records.keys() {
                message.add_pre_requisite(record(name, data, 0)?);
            }
        }
    }
    for swap in swaps {
        add_updates(&mut message, swap, |seen, wanted| seen != wanted)?;
    }
    Ok(message)
}

/// A message that asks for everything and may do nothing: it rests on what cannot be, that nothing is at the zone's own name.
/// Who may not change these names is refused before that is looked at, or hears no more than that the key is right.
pub(crate) fn rehearsal(zone: &DnsName, swaps: &[Swap]) -> Result<Message, Failed> {
    let mut message = empty(zone)?;
    message.add_pre_requisite(marker(zone, RecordType::ANY, DNSClass::NONE)?);
    for swap in swaps {
        add_updates(&mut message, swap, |_, _| true)?;
    }
    Ok(message)
}

fn empty(zone: &DnsName) -> Result<Message, Failed> {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Update;
    message.add_zone(Query::query(wire_name(zone)?, RecordType::SOA));
    Ok(message)
}

fn of_type(seen: &Seen, kind: Kind) -> Seen {
    let records = seen.iter().filter(|(data, _)| data.kind() == kind);
    records.map(|(data, ttl)| (data.clone(), *ttl)).collect()
}

fn add_updates(
    message: &mut Message,
    swap: &Swap,
    is_due: impl Fn(&Seen, &Seen) -> bool,
) -> Result<(), Failed> {
    for kind in Kind::ALL {
        let (seen, wanted) = (of_type(&swap.seen, kind), of_type(&swap.wanted, kind));
        if !is_due(&seen, &wanted) {
            continue;
        }
        if !seen.is_empty() {
            message.add_update(marker(&swap.name, type_of(kind), DNSClass::ANY)?);
        }
        for (data, ttl) in &wanted {
            message.add_update(record(&swap.name, data, *ttl)?);
        }
    }
    Ok(())
}

fn record(name: &DnsName, data: &Data, ttl: u32) -> Result<Record, Failed> {
    Ok(Record::from_rdata(wire_name(name)?, ttl, wire_data(data)?))
}

/// A record without data: class NONE says that there is none of the type, class ANY takes all of them away (2.4.3, 2.5.2).
fn marker(name: &DnsName, kind: RecordType, class: DNSClass) -> Result<Record, Failed> {
    let mut record = Record::update0(wire_name(name)?, 0, kind);
    record.dns_class = class;
    Ok(record)
}

/// Signs and sends a message. An error says nothing of what it changed.
pub(crate) async fn send(
    server: &str,
    mut message: Message,
    signer: &TSigner,
    now: u64,
) -> Result<Said, Failed> {
    let unfit = |error: &dyn std::fmt::Display| Failed::Unfit(error.to_string());
    let verifier = message
        .finalize(signer, now)
        .map_err(|error| unfit(&error))?;
    let mut verifier = verifier.ok_or_else(|| unfit(&"the update was not signed"))?;
    let mut conversation = Conversation::open(server).await?;
    let (answer, bytes) = conversation.ask(&message).await?;
    let code = answer.response_code;
    if let Some(error) = answer
        .signature()
        .and_then(|signature| signature.data.error)
    {
        return Ok(Said::Denied(in_words(error, signer)));
    }
    match verifier.verify(&bytes) {
        Ok(_) => Ok(said(code)),
        // Who cannot sign, or forges, may still say no: it is looked at afterwards.
        Err(_) if code != ResponseCode::NoError => Ok(Said::Denied(format!("{code} (unsigned)"))),
        Err(error) => Err(unfit(&format!(
            "the answer is not signed by the key: {error}"
        ))),
    }
}

fn said(code: ResponseCode) -> Said {
    use ResponseCode::{NXDomain, NXRRSet, NoError, YXDomain, YXRRSet};
    if code == NoError {
        Said::Done
    } else if [YXDomain, YXRRSet, NXDomain, NXRRSet].contains(&code) {
        Said::Unmet(code)
    } else {
        Said::Denied(code.to_string())
    }
}

fn in_words(error: TsigError, signer: &TSigner) -> String {
    let name = signer.signer_name();
    match error {
        TsigError::BadKey => format!("BADKEY: it has no key {name} of this algorithm"),
        TsigError::BadSig => format!("BADSIG: its key {name} has another secret"),
        TsigError::BadTime => "BADTIME: the clocks differ by more than 5 minutes".to_owned(),
        TsigError::BadTrunc => "BADTRUNC: it wants a signature of another length".to_owned(),
        TsigError::Unknown(code) => format!("TSIG error {code}: key name, secret or clock"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::read_data;

    fn seen(records: &[(&str, u32)]) -> Seen {
        let records = records.iter().flat_map(|(text, ttl)| {
            let records: pgha_dns::Records = text.parse().unwrap();
            let records: Vec<_> = records.iter().cloned().collect();
            records.into_iter().map(|data| (data, *ttl))
        });
        records.collect()
    }

    fn shown(records: &[Record]) -> Vec<String> {
        let line = |record: &Record| {
            let data = read_data(&record.data)
                .map_or_else(|| record.record_type().to_string(), |data| data.to_string());
            format!("{} {} {data}", record.dns_class, record.ttl)
        };
        records.iter().map(line).collect()
    }

    #[test]
    fn every_type_has_its_precondition_and_only_what_differs_changes() {
        let zone = DnsName::new("example.org").unwrap();
        let swap = Swap {
            name: DnsName::new("login.example.org").unwrap(),
            seen: seen(&[("A 192.0.2.2; A 192.0.2.3", 300)]),
            wanted: seen(&[("A 192.0.2.1", 300), ("AAAA 2001:db8::1", 60)]),
        };
        let message = swaps(&zone, std::slice::from_ref(&swap)).unwrap();
        let conditions = [
            "IN 0 A 192.0.2.2",
            "IN 0 A 192.0.2.3",
            "NONE 0 AAAA",
            "NONE 0 CNAME",
        ];
        assert_eq!(shown(&message.answers), conditions);
        let updates = ["ANY 0 A", "IN 300 A 192.0.2.1", "IN 60 AAAA 2001:db8::1"];
        assert_eq!(shown(&message.authorities), updates);
        let same = Swap {
            wanted: swap.seen.clone(),
            ..swap.clone()
        };
        assert!(
            swaps(&zone, std::slice::from_ref(&same))
                .unwrap()
                .authorities
                .is_empty()
        );
        let rehearsal = rehearsal(&zone, &[same]).unwrap();
        assert_eq!(shown(&rehearsal.answers), ["NONE 0 ANY"]);
        assert_eq!(rehearsal.authorities.len(), 3);
        let lower = Swap {
            wanted: seen(&[("A 192.0.2.2; A 192.0.2.3", 30)]),
            ..swap
        };
        let updates = ["ANY 0 A", "IN 30 A 192.0.2.2", "IN 30 A 192.0.2.3"];
        assert_eq!(shown(&swaps(&zone, &[lower]).unwrap().authorities), updates);
    }
}
