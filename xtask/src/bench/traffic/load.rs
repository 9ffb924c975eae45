//! New users at a steady rate, each with a connection of its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Who share the rate: an answer that is late delays only the users of one.
const LANES: u32 = 4;

/// How long a user waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// What users got.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Each answer: when it was there, and from whom.
    answers: Vec<(Instant, String)>,
    /// Users who got none.
    pub(super) errors: u64,
}

impl Seen {
    /// When the first answer of a site came after an instant.
    pub(super) fn first_by(&self, site: &str, after: Instant) -> Option<Instant> {
        let mut answers: Vec<_> = self.answers.iter().collect();
        answers.sort();
        let mut after = answers.into_iter().filter(|(when, _)| *when > after);
        after.find(|(_, by)| by == site).map(|(when, _)| *when)
    }
}

/// Users who come until it ends.
#[derive(Debug)]
pub(super) struct Load {
    seen: Arc<Mutex<Seen>>,
    is_over: Arc<AtomicBool>,
    lanes: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts them: `rate` a second together.
    pub(super) fn start(at: SocketAddr, rate: u32) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let is_over = Arc::new(AtomicBool::new(false));
        let pause = Duration::from_secs(1) * LANES / rate;
        let lane = |_| {
            let (seen, is_over) = (Arc::clone(&seen), Arc::clone(&is_over));
            std::thread::spawn(move || come(at, pause, &seen, &is_over))
        };
        let lanes = (0..LANES).map(lane).collect();
        Self {
            seen,
            is_over,
            lanes,
        }
    }

    /// How many users have come so far.
    pub(super) fn count(&self) -> u64 {
        let seen = self.seen.lock();
        seen.map_or(0, |seen| seen.answers.len() as u64 + seen.errors)
    }

    /// Whether a site has answered since.
    pub(super) fn has_seen(&self, site: &str, since: Instant) -> bool {
        let seen = self.seen.lock();
        seen.is_ok_and(|seen| seen.first_by(site, since).is_some())
    }

    /// Ends them.
    pub(super) fn end(self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        for lane in self.lanes {
            // One that has panicked has counted what it saw.
            drop(lane.join());
        }
        let seen = self.seen.lock();
        seen.map(|mut seen| std::mem::take(&mut *seen))
            .unwrap_or_default()
    }
}

fn come(at: SocketAddr, pause: Duration, seen: &Mutex<Seen>, is_over: &AtomicBool) {
    let mut next = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        let answer = ask(at);
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
fn ask(at: SocketAddr) -> std::io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&at, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(b"GET / HTTP/1.0\r\nHost: login.example\r\n\r\n")?;
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
}
