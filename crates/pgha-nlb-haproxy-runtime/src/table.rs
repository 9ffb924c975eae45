//! What HAProxy has in memory: maps, lists of patterns, backends and their counters.

use pgha_nlb::{CutoverError, Problem};

use crate::Acl;
use crate::socket::Live;

/// The sessions of one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// The backend.
    pub backend: String,
    /// Since HAProxy started or its counters were cleared.
    pub total: u64,
    /// Now.
    pub current: u64,
    /// `UP`, `DOWN`, as HAProxy says.
    pub status: String,
}

impl Live<'_> {
    /// The number of the running process; another one is another configuration, or the same one read anew.
    pub(crate) async fn process(self) -> Result<String, CutoverError> {
        let tried = "read the process";
        let answer = self.ask(tried, "show info").await?;
        let pid = answer.lines().find_map(|line| line.strip_prefix("Pid: "));
        let pid = pid.map(|pid| pid.trim().to_owned());
        pid.ok_or_else(|| self.odd(tried, &answer))
    }

    /// A map's keys and values, in its order.
    pub(crate) async fn map(self, file: &str) -> Result<Vec<(String, String)>, CutoverError> {
        let tried = "read a map";
        let answer = self.ask(tried, &format!("show map {file}")).await?;
        let entries = entries(&answer, |entry| {
            let (key, value) = entry.split_once(' ')?;
            Some((key.to_owned(), value.to_owned()))
        });
        entries.ok_or_else(|| self.odd(tried, &answer))
    }

    /// The number that HAProxy gives an inline list of patterns now. A reload may give it another one.
    pub(crate) async fn acl_number(self, fetch: &str, acl: &Acl) -> Result<String, CutoverError> {
        let tried = "find a rule's patterns";
        let answer = self.ask(tried, "show acl").await?;
        let Acl { file, line } = acl;
        // Without its argument: `hdr(host)` is shown as `hdr` (2.6.12).
        let name = fetch.split('(').next().unwrap_or_default();
        let about = format!("acl '{name}' file '{file}' line {line}.");
        let mut numbers = answer.lines().filter_map(|line| {
            let (number, rest) = line.split_once(' ')?;
            rest.contains(&about).then(|| number.to_owned())
        });
        let count = match (numbers.next(), numbers.next()) {
            (Some(number), None) => return Ok(number),
            (Some(_), Some(_)) => "more than one",
            (None, _) => "no",
        };
        let seen = format!("HAProxy has {count} list of `{fetch}` at line {line} of {file}");
        let next = "Put the line of the configuration that runs now into the service's file.";
        let (at, problem) = (self.socket.to_string(), Problem::Unfit { seen });
        Err(CutoverError::new(tried, at, problem, next))
    }

    /// The patterns of a list. Their order has no meaning, so they are sorted.
    pub(crate) async fn patterns(self, number: &str) -> Result<Vec<String>, CutoverError> {
        let tried = "read a rule's patterns";
        let answer = self.ask(tried, &format!("show acl #{number}")).await?;
        let patterns = entries(&answer, |entry| Some(entry.to_owned()));
        let mut patterns = patterns.ok_or_else(|| self.odd(tried, &answer))?;
        patterns.sort();
        Ok(patterns)
    }

    /// Every backend with its sessions.
    pub(crate) async fn sessions(self) -> Result<Vec<Sessions>, CutoverError> {
        let tried = "read the backends";
        let answer = self.ask(tried, "show stat -1 2 -1").await?;
        backends(&answer).ok_or_else(|| self.odd(tried, &answer))
    }

    fn odd(self, tried: &'static str, answer: &str) -> CutoverError {
        let said = answer.to_owned();
        let next = "See that the service's file names what the configuration has.";
        CutoverError::new(
            tried,
            self.socket.to_string(),
            Problem::Denied { said },
            next,
        )
    }
}

/// The rows of `show stat` by the names in its first line.
fn backends(answer: &str) -> Option<Vec<Sessions>> {
    let mut lines = answer.lines();
    let names: Vec<&str> = lines.next()?.strip_prefix("# ")?.split(',').collect();
    let column = |name: &str| names.iter().position(|known| *known == name);
    let (name, total, current, status) = (
        column("pxname")?,
        column("stot")?,
        column("scur")?,
        column("status")?,
    );
    let rows = lines.filter(|line| !line.is_empty()).map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        Some(Sessions {
            backend: (*fields.get(name)?).to_owned(),
            total: fields.get(total)?.parse().ok()?,
            current: fields.get(current)?.parse().ok()?,
            status: (*fields.get(status)?).to_owned(),
        })
    });
    rows.collect()
}

/// The entries of a table. Each line begins with where it is in memory; anything else is a complaint.
fn entries<T>(answer: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let lines = answer.lines().filter(|line| !line.is_empty());
    let entries = lines.map(|line| {
        let (address, entry) = line.split_once(' ')?;
        address.starts_with("0x").then_some(entry).and_then(&read)
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_begins_with_an_address_and_a_complaint_does_not() {
        let whole = |entry: &str| Some(entry.to_owned());
        let answer = "0x55d3e8 login.ois.run core2-https\n0x55d3f0 a b c\n\n";
        assert_eq!(
            entries(answer, whole).unwrap(),
            ["login.ois.run core2-https", "a b c"]
        );
        assert_eq!(
            entries("Unknown map identifier. Please use #<id>.\n", whole),
            None
        );
        assert_eq!(entries("\n", whole).unwrap(), [""; 0]);
    }

    #[test]
    fn statistics_are_read_by_the_names_of_their_columns() {
        let answer = "# pxname,svname,scur,stot,status,\nb1,BACKEND,1,42,UP,\n\n";
        let wanted = Sessions {
            backend: "b1".to_owned(),
            total: 42,
            current: 1,
            status: "UP".to_owned(),
        };
        assert_eq!(backends(answer), Some(vec![wanted]));
        assert_eq!(backends("# pxname,svname\n"), None);
        assert_eq!(backends("Permission denied\n"), None);
    }
}
