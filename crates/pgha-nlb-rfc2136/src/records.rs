//! Names and records as they are on the wire.

use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, RecordType};
use pgha_dns::{DnsName, Kind, Record};

use crate::wire::Failed;

pub(crate) const fn type_of(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Cname => RecordType::CNAME,
    }
}

pub(crate) fn wire_name(name: &DnsName) -> Result<Name, Failed> {
    Name::from_ascii(name.as_str()).map_err(|error| Failed::Unfit(format!("`{name}`: {error}")))
}

pub(crate) fn wire_data(record: &Record) -> Result<RData, Failed> {
    Ok(match record {
        Record::A(address) => RData::A(A(*address)),
        Record::Aaaa(address) => RData::AAAA(AAAA(*address)),
        Record::Cname(target) => RData::CNAME(CNAME(wire_name(target)?)),
    })
}

/// The name as DNS compares it; `None` when it is none that users look up.
pub(crate) fn read_name(name: &Name) -> Option<DnsName> {
    DnsName::new(&name.to_ascii()).ok()
}

/// The record of this data; `None` when it leads users nowhere.
pub(crate) fn read_data(data: &RData) -> Option<Record> {
    if let RData::A(A(address)) = data {
        Some(Record::A(*address))
    } else if let RData::AAAA(AAAA(address)) = data {
        Some(Record::Aaaa(*address))
    } else if let RData::CNAME(CNAME(target)) = data {
        read_name(target).map(Record::Cname)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let records = ["A 192.0.2.1", "AAAA 2001:db8::1", "CNAME _x.Lb-1.example"];
        for text in records {
            let records: pgha_dns::Records = text.parse().unwrap();
            let record = records.iter().next().unwrap();
            let data = wire_data(record).unwrap();
            assert_eq!(data.record_type(), type_of(record.kind()));
            assert_eq!(read_data(&data).as_ref(), Some(record));
        }
        let name = DnsName::new("*.Example.org").unwrap();
        assert_eq!(read_name(&wire_name(&name).unwrap()), Some(name));
        assert_eq!(read_name(&Name::root()), None);
    }
}
