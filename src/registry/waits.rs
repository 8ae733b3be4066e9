//! Tracks waits for registries that do not answer: reports long waits, and ends them after a time limit.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::error::RegistryError;
use crate::threads::lock;
use crate::ui::Bars;

/// How long to wait before a wait is reported.
const REPORT_AFTER: Duration = Duration::from_secs(5);
/// How long to wait by default, including the time between attempts.
pub(super) const DEFAULT_LIMIT: Duration = Duration::from_secs(120);

/// The registries that have not answered yet.
pub(super) struct Waits {
    limit: Duration,
    bars: Bars,
    /// The current wait for each registry, keyed by host.
    waits: Mutex<BTreeMap<String, Wait>>,
}

#[derive(Debug)]
struct Wait {
    since: Instant,
    /// The server or program to wait for: the registry, its token server, or its credential helper.
    server: String,
    /// Whether the wait has its own time limit.
    is_limited: bool,
    is_reported: bool,
}

/// What to do about a wait.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    Continue,
    Report,
    GiveUp,
}

impl Waits {
    pub(super) fn new(limit: Duration, bars: &Bars) -> Waits {
        Waits { limit, bars: bars.clone(), waits: Mutex::default() }
    }

    /// Starts to wait for `server`, or continues to wait if the registry at `host` has not answered an earlier request.
    pub(super) fn start(&self, host: &str, server: &str) -> Waiting<'_> {
        self.start_wait(host, server.to_owned(), false)
    }

    /// Starts to wait for a credential helper, which has its own time limit.
    pub(super) fn start_lookup(&self, host: &str, server: &str) -> Waiting<'_> {
        self.start_wait(host, format!("the credential helper of {server}"), true)
    }

    fn start_wait(&self, host: &str, server: String, is_limited: bool) -> Waiting<'_> {
        let mut waits = lock(&self.waits);
        let new = || Wait { since: Instant::now(), server: String::new(), is_limited, is_reported: false };
        let wait = waits.entry(host.to_owned()).or_insert_with(new);
        (wait.server, wait.is_limited) = (server, is_limited);
        Waiting { waits: self, host: host.to_owned() }
    }

    /// Ends the wait for a host when the returned value is dropped, because the request succeeded or failed for good.
    pub(super) fn scope(&self, host: &str) -> WaitScope<'_> {
        WaitScope(Waiting { waits: self, host: host.to_owned() })
    }

    /// Prints a line once the registry at `host` has not answered for some time, and fails once the limit is reached.
    pub(super) fn check(&self, host: &str) -> Result<(), RegistryError> {
        let mut waits = lock(&self.waits);
        let Some(wait) = waits.get_mut(host) else { return Ok(()) };
        let waited = wait.since.elapsed();
        let limit = if wait.is_limited { Duration::MAX } else { self.limit };
        match action(waited, limit, wait.is_reported) {
            Action::Continue => Ok(()),
            Action::Report => {
                wait.is_reported = true;
                self.bars.status("Waiting", &format!("for {} ({} s) …", wait.server, waited.as_secs()));
                Ok(())
            }
            Action::GiveUp => Err(RegistryError::NoAnswer { server: wait.server.clone(), limit: self.limit }),
        }
    }
}

fn action(waited: Duration, limit: Duration, is_reported: bool) -> Action {
    if waited >= limit {
        Action::GiveUp
    } else if waited >= REPORT_AFTER && !is_reported {
        Action::Report
    } else {
        Action::Continue
    }
}

/// A wait for an answer. If it is dropped without one, the next attempt continues the wait.
pub(super) struct Waiting<'a> {
    waits: &'a Waits,
    host: String,
}

impl Waiting<'_> {
    pub(super) fn answered(self) {
        self.end();
    }

    fn end(&self) {
        lock(&self.waits.waits).remove(&self.host);
    }
}

/// Ends a wait on drop.
pub(super) struct WaitScope<'a>(Waiting<'a>);

impl Drop for WaitScope<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_waits_are_reported_once_and_end() {
        let seconds = Duration::from_secs;
        for (waited, limit, is_reported, expected) in [
            (0, 60, false, Action::Continue),
            (4, 60, false, Action::Continue),
            (5, 60, false, Action::Report),
            (6, 60, true, Action::Continue),
            (60, 60, true, Action::GiveUp),
            (3, 3, false, Action::GiveUp),
        ] {
            assert_eq!(action(seconds(waited), seconds(limit), is_reported), expected, "{waited} s of {limit} s");
        }
    }

    #[test]
    fn an_answer_ends_the_wait() {
        let waits = Waits::new(Duration::ZERO, &Bars::default());
        let first = waits.start("docker.io", "docker.io");
        assert!(waits.check("docker.io").is_err());
        assert!(waits.check("ghcr.io").is_ok());
        first.answered();
        assert!(waits.check("docker.io").is_ok());
        drop(waits.start("docker.io", "docker.io"));
        let error = waits.start("docker.io", "auth.docker.io").waits.check("docker.io").unwrap_err();
        assert!(matches!(error, RegistryError::NoAnswer { server, .. } if server == "auth.docker.io"));
    }
}
