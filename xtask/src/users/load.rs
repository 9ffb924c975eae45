//! New users at a steady rate, each with a connection of its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a user waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// Users who come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Users {
    /// Where they come in.
    pub(crate) at: SocketAddr,
    /// The host that they ask for.
    pub(crate) host: &'static str,
    /// How many come in a second, at equal distances.
    pub(crate) rate: u32,
    /// Who share the rate: an answer that is late delays only the users of one.
    pub(crate) lanes: u32,
}

/// What users got.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Each answer: when it was there, and from whom.
    answers: Vec<(Instant, String)>,
    /// Users who got none.
    pub(crate) errors: u64,
}

impl Seen {
    /// When the first answer of a site came after an instant.
    pub(crate) fn first_by(&self, site: &str, after: Instant) -> Option<Instant> {
        let mut answers: Vec<_> = self.answers.iter().collect();
        answers.sort();
        let mut after = answers.into_iter().filter(|(when, _)| *when > after);
        after.find(|(_, by)| by == site).map(|(when, _)| *when)
    }

    /// From the last answer of a site to the first one of another after it; `None` when either never came.
    pub(crate) fn gap(&self, from: &str, to: &str) -> Option<Duration> {
        let of_old = self.answers.iter().filter(|(_, by)| by == from);
        let last = of_old.map(|(when, _)| *when).max()?;
        Some(self.first_by(to, last)?.duration_since(last))
    }

    /// How many users came.
    pub(crate) fn count(&self) -> u64 {
        self.answers.len() as u64 + self.errors
    }
}

/// Users who come until its value ends.
#[derive(Debug)]
pub(crate) struct Load {
    seen: Arc<Mutex<Seen>>,
    is_over: Arc<AtomicBool>,
    lanes: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts them.
    pub(crate) fn start(users: Users) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let is_over = Arc::new(AtomicBool::new(false));
        let begun = Instant::now();
        let lane = |lane| {
            let (seen, is_over) = (Arc::clone(&seen), Arc::clone(&is_over));
            let first = begun + Duration::from_secs(1) * lane / users.rate;
            std::thread::spawn(move || come(users, first, &seen, &is_over))
        };
        let lanes = (0..users.lanes).map(lane).collect();
        Self {
            seen,
            is_over,
            lanes,
        }
    }

    /// How many users have come so far.
    pub(crate) fn count(&self) -> u64 {
        let seen = self.seen.lock();
        seen.map_or(0, |seen| seen.count())
    }

    /// Whether a site has answered since.
    pub(crate) fn has_seen(&self, site: &str, since: Instant) -> bool {
        let seen = self.seen.lock();
        seen.is_ok_and(|seen| seen.first_by(site, since).is_some())
    }

    /// Ends them.
    pub(crate) fn end(mut self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        for lane in std::mem::take(&mut self.lanes) {
            // One that has panicked has counted what it saw.
            drop(lane.join());
        }
        let seen = self.seen.lock();
        seen.map(|mut seen| std::mem::take(&mut *seen))
            .unwrap_or_default()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn come(users: Users, first: Instant, seen: &Mutex<Seen>, is_over: &AtomicBool) {
    let pause = Duration::from_secs(1) * users.lanes / users.rate;
    let mut next = first;
    std::thread::sleep(next.saturating_duration_since(Instant::now()));
    while !is_over.load(Ordering::Relaxed) {
        let answer = ask(users.at, users.host);
        let now = Instant::now();
        if let Ok(mut seen) = seen.lock() {
            match answer {
                Ok(site) => seen.answers.push((now, site)),
                Err(_) => seen.errors += 1,
            }
        }
        next += pause;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// One user: who answered.
pub(crate) fn ask(at: SocketAddr, host: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&at, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    if answer.starts_with("HTTP/1.") && answer.contains(" 200 ") && !body.is_empty() {
        return Ok(body.to_owned());
    }
    Err(std::io::Error::other("no answer of a site"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answer_of_a_site_is_the_earliest_after_the_command() {
        let zero = Instant::now();
        let at = |ms: u64| zero + Duration::from_millis(ms);
        let answers = [(9, "core1"), (1, "core1"), (7, "core1"), (3, "core2")];
        let seen = Seen {
            answers: answers.map(|(ms, by)| (at(ms), by.to_owned())).to_vec(),
            errors: 0,
        };
        assert_eq!(seen.first_by("core1", at(2)), Some(at(7)));
        assert_eq!(seen.first_by("core2", at(3)), None);
    }

    #[test]
    fn a_gap_begins_with_the_last_answer_of_the_old_site() {
        let zero = Instant::now();
        let at = |ms: u64| zero + Duration::from_millis(ms);
        let answers = [(9, "core1"), (1, "core2"), (7, "core1"), (3, "core2")];
        let seen = Seen {
            answers: answers.map(|(ms, by)| (at(ms), by.to_owned())).to_vec(),
            errors: 2,
        };
        assert_eq!(seen.gap("core2", "core1"), Some(Duration::from_millis(4)));
        assert_eq!(seen.gap("core1", "core2"), None);
        assert_eq!(seen.gap("core3", "core1"), None);
        assert_eq!(seen.count(), 6);
    }
}
