//! What the name that users look up leads to at each site: pure, and shared by the backends of DNS servers.
//!
//! The records of a name have one text, `A 192.0.2.1; AAAA 2001:db8::1` or `CNAME lb.example.`, by which plans and receipts
//! tell them.

pub mod lifetimes;
mod name;
mod records;
mod route;

pub use self::lifetimes::Lifetimes;
pub use self::name::{BadName, DnsName};
pub use self::records::{BadRecords, Kind, Record, Records};
pub use self::route::{RouteSettings, Wanted, plan_records, wanted};
