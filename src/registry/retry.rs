//! Decides whether a failed request is retried, and how long to wait before that.

use std::time::Duration;

use super::error::RegistryError;

/// Delays before the second, third, … attempt at a request, in milliseconds. They add up to about 30 seconds, which is
/// enough for a registry to restart.
const DELAYS: [u64; 6] = [200, 600, 2_000, 4_000, 8_000, 15_000];
/// Number of retries if a failure is likely to be permanent, or if the run can do without the answer.
const FEW: usize = 3;
/// Additional delays before giving up on a tag, because the tags before it have already moved.
const TAG_DELAYS: [u64; 2] = [30_000, 30_000];
/// Maximum `Retry-After` delay to wait for. If the registry requests a longer delay, the request fails.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// How long to retry a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// A few seconds, for requests before the build, and for those that the run does not depend on.
    Brief,
    /// About 30 seconds.
    Normal,
    /// Like `Normal`. Also retries for a few seconds if the registry does not know what was just sent to it, because
    /// the answer may come from another server, or the registry was restarted.
    AfterPush,
    /// Like `AfterPush`, but as short as `Brief` for all errors, because there is another way to check.
    BriefAfterPush,
    /// Like `AfterPush`, but without a retry after a stalled transfer: a stalled upload has already been tried twice.
    Upload,
    /// About 90 seconds.
    Tag,
}

/// Returns how long to wait before a request is sent again, or `None` if it is not retried. `retries` is the number of
/// earlier retries, and `is_known` reports whether the registry has responded before. A registry that has not is
/// retried only briefly, because its address is probably wrong.
pub(super) fn next_delay(
    error: &RegistryError,
    patience: Patience,
    retries: usize,
    is_known: bool,
) -> Option<Duration> {
    let is_after_push = matches!(patience, Patience::AfterPush | Patience::BriefAfterPush | Patience::Upload);
    let is_unknown_content = is_after_push && error.status() == Some(404);
    let is_lost_connection = is_known && error.is_failure_to_connect();
    if !error.is_transient() && !is_unknown_content && !is_lost_connection {
        return None;
    }
    // A timeout takes at least 30 seconds, so retry less often after a timeout.
    let allowed_timeouts = match patience {
        Patience::Upload => 0,
        Patience::Tag => 2,
        _ => 1,
    };
    if matches!(error, RegistryError::Stalled) && retries >= allowed_timeouts {
        return None;
    }
    let is_first_contact = !is_known && error.is_failure_to_connect();
    let allowed = match patience {
        _ if is_unknown_content || is_first_contact => FEW,
        Patience::Brief | Patience::BriefAfterPush => FEW,
        Patience::Normal | Patience::AfterPush | Patience::Upload => DELAYS.len(),
        Patience::Tag => DELAYS.len() + TAG_DELAYS.len(),
    };
    let delay = DELAYS.iter().chain(&TAG_DELAYS).take(allowed).nth(retries)?;
    let requested = error.retry_after().unwrap_or_default();
    (requested <= MAX_RETRY_AFTER).then(|| requested.max(Duration::from_millis(*delay)))
}

/// Lengthens a delay by up to a quarter, so that the jobs that a restarted registry has interrupted do not all return
/// at once. `random` is between 0 and 1.
pub(super) fn with_jitter(delay: Duration, random: f64) -> Duration {
    delay.mul_f64(1.0 + random.clamp(0.0, 1.0) / 4.0)
}

#[cfg(test)]
mod tests {
    use super::super::error::ErrorResponse;
    use super::*;

    fn status(status: u16) -> RegistryError {
        RegistryError::Response(ErrorResponse { status, ..ErrorResponse::default() })
    }

    fn busy(seconds: u64) -> RegistryError {
        let retry_after = Some(Duration::from_secs(seconds));
        RegistryError::Response(ErrorResponse { status: 429, retry_after, ..ErrorResponse::default() })
    }

    /// Returns the number of retries and the sum of the delays in seconds.
    fn retries(error: &RegistryError, patience: Patience) -> (usize, u64) {
        let delays = (0..).map_while(|retries| next_delay(error, patience, retries, true));
        let delays: Vec<Duration> = delays.take(100).collect();
        (delays.len(), delays.iter().sum::<Duration>().as_secs())
    }

    #[test]
    fn requests_are_retried_as_long_as_it_may_help() {
        use Patience::{AfterPush, Brief, BriefAfterPush, Normal, Tag, Upload};
        for (error, patience, expected) in [
            (status(503), Brief, (3, 2)),
            (status(503), Normal, (6, 29)),
            (status(503), AfterPush, (6, 29)),
            (status(503), BriefAfterPush, (3, 2)),
            (status(404), BriefAfterPush, (3, 2)),
            (status(503), Upload, (6, 29)),
            (status(503), Tag, (8, 89)),
            (status(403), Tag, (0, 0)),
            (status(404), Normal, (0, 0)),
            (status(404), AfterPush, (3, 2)),
            (status(404), Upload, (3, 2)),
            (RegistryError::Stalled, Normal, (1, 0)),
            (RegistryError::Stalled, Upload, (0, 0)),
            (RegistryError::Stalled, Tag, (2, 0)),
            (busy(20), Brief, (3, 60)),
            (busy(61), Tag, (0, 0)),
        ] {
            assert_eq!(retries(&error, patience), expected, "{error:?} {patience:?}");
        }
    }

    #[test]
    fn a_registry_that_was_reached_before_may_restart() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let refused = runtime.block_on(client.get(format!("http://{closed}/")).send()).unwrap_err();
        let refused = RegistryError::Connection(refused);
        let count = |is_known| {
            (0..).take_while(|retries| next_delay(&refused, Patience::Normal, *retries, is_known).is_some()).count()
        };
        assert_eq!((count(true), count(false)), (6, 3));
    }

    #[test]
    fn jitter_lengthens_delays_by_up_to_a_quarter() {
        for (random, expected) in [(0.0, 8000), (0.5, 9000), (1.0, 10_000)] {
            assert_eq!(with_jitter(Duration::from_secs(8), random), Duration::from_millis(expected));
        }
    }
}
