//! Time limits of requests: a transfer may be slow, but must not stall, and documents must arrive within a minute.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, Response};

use super::error::RegistryError;
use crate::threads::lock;

/// How long to wait for a response and for each of its chunks.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a manifest, a config or another document may take to arrive.
pub(super) const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the body of an error response may take to arrive.
pub(super) const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Speed of a registry that hashes a finished upload and copies it to permanent storage, in bytes per second.
const STORING_SPEED: u64 = 10_000_000;

/// The time limits of a client's requests. Tests use shorter ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How long to wait for a response.
    pub idle: Duration,
    /// How long an upload may go without progress, and how long to wait for the response to a finished one, plus the
    /// time that the registry needs to store it. Longer than `idle`, because buffers hide some of the progress.
    pub upload: Duration,
    /// How long to wait for the response to an optional request.
    pub courtesy: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { idle: IDLE_TIMEOUT, upload: Duration::from_secs(60), courtesy: Duration::from_secs(3) }
    }
}

impl Limits {
    pub(super) fn request(&self) -> IdleTimeout {
        IdleTimeout::new(self.idle)
    }

    pub(super) fn courtesy_request(&self) -> IdleTimeout {
        IdleTimeout::new(self.courtesy)
    }

    /// Returns the timeout for the upload of a blob with `size` bytes, or of a part of it.
    pub(super) fn upload(&self, size: u64) -> IdleTimeout {
        let response_limit = self.upload + Duration::from_secs(size / STORING_SPEED);
        IdleTimeout { response_limit, ..IdleTimeout::new(self.upload) }
    }
}

/// A timeout that fails a request when no data has been sent or received for some time.
pub(super) struct IdleTimeout {
    idle_limit: Duration,
    /// How long to wait for the response to a complete upload.
    response_limit: Duration,
    last_activity: Mutex<Activity>,
}

#[derive(Clone, Copy)]
struct Activity {
    at: Instant,
    /// How long after `at` the request times out if there is no further activity.
    limit: Duration,
}

impl IdleTimeout {
    fn new(idle_limit: Duration) -> IdleTimeout {
        let last_activity = Mutex::new(Activity { at: Instant::now(), limit: idle_limit });
        IdleTimeout { idle_limit, response_limit: idle_limit, last_activity }
    }

    /// Restarts the timeout. Call this after sending part of the request.
    pub(super) fn restart(&self) {
        *lock(&self.last_activity) = Activity { at: Instant::now(), limit: self.idle_limit };
    }

    /// Switches to the timeout for the response to an upload. Call this after sending the complete body.
    pub(super) fn upload_sent(&self) {
        *lock(&self.last_activity) = Activity { at: Instant::now(), limit: self.response_limit };
    }

    /// Sends a request and returns the response once its headers have arrived.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, RegistryError> {
        self.restart();
        let mut response = std::pin::pin!(request.send());
        loop {
            let activity = *lock(&self.last_activity);
            let deadline = activity.at + activity.limit;
            match tokio::time::timeout_at(deadline.into(), response.as_mut()).await {
                Ok(response) => return response.map_err(RegistryError::Connection),
                Err(_) if lock(&self.last_activity).at == activity.at => return Err(RegistryError::Stalled),
                Err(_) => {}
            }
        }
    }
}

/// Detects downloads that are too slow to ever finish: those that receive fewer than [`MIN_BYTES`](Self::MIN_BYTES)
/// in a minute.
pub(super) struct MinimumSpeed {
    since: Instant,
    bytes: u64,
}

impl MinimumSpeed {
    const WINDOW: Duration = Duration::from_secs(60);
    const MIN_BYTES: u64 = 16 * 1024;

    pub(super) fn new(now: Instant) -> MinimumSpeed {
        MinimumSpeed { since: now, bytes: 0 }
    }

    /// Counts received bytes. Fails if too few arrived in the last minute.
    pub(super) fn received(&mut self, bytes: usize, now: Instant) -> Result<(), RegistryError> {
        self.bytes += bytes as u64;
        if now.duration_since(self.since) < MinimumSpeed::WINDOW {
            return Ok(());
        }
        if self.bytes < MinimumSpeed::MIN_BYTES {
            return Err(RegistryError::Stalled);
        }
        *self = MinimumSpeed::new(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_fails_only_after_it_stalls() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let timeout = IdleTimeout::new(Duration::from_millis(200));
        let start = Instant::now();
        let response = std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..10 {
                    std::thread::sleep(Duration::from_millis(50));
                    timeout.restart();
                }
            });
            runtime.block_on(timeout.send(client.get(url)))
        });
        assert!(matches!(response, Err(RegistryError::Stalled)));
        assert!(start.elapsed() >= Duration::from_millis(700));
    }

    #[test]
    fn registries_get_time_to_store_large_uploads() {
        for (megabytes, seconds) in [(0, 60), (1, 60), (100, 70), (5000, 560)] {
            let timeout = Limits::default().upload(megabytes * 1_000_000);
            assert_eq!(timeout.response_limit, Duration::from_secs(seconds), "{megabytes} MB");
        }
    }

    #[test]
    fn downloads_may_be_slow_but_not_endless() {
        // Bytes received every 20 seconds, and the number of seconds after which the download fails.
        for (bytes, fails_after) in [(1, Some(60)), (5_000, Some(60)), (6_000, None), (20_000, None)] {
            let start = Instant::now();
            let mut speed = MinimumSpeed::new(start);
            let failed = (1..100)
                .map(|step| step * 20)
                .find(|seconds| speed.received(bytes, start + Duration::from_secs(*seconds)).is_err());
            assert_eq!(failed, fails_after, "{bytes}");
        }
    }
}
