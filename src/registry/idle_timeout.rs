//! Idle timeouts: a transfer may be slow, but must not stall.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, Response};

use super::error::RegistryError;
use crate::threads::lock;

/// How long to wait for a response and for each of its chunks.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an upload may go without progress. Longer than the timeout for downloads, because buffering hides some of
/// the progress.
const UPLOAD_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long to wait for the response to a finished upload. The registry may have to hash the blob and copy it to
/// permanent storage.
const UPLOAD_RESPONSE_TIMEOUT: Duration = Duration::from_secs(300);

/// A timeout that fails a request when no data has been sent or received for some time.
pub(super) struct IdleTimeout {
    idle_limit: Duration,
    last_activity: Mutex<Activity>,
}

#[derive(Clone, Copy)]
struct Activity {
    at: Instant,
    /// How long after `at` the request times out if there is no further activity.
    limit: Duration,
}

impl IdleTimeout {
    pub(super) fn for_request() -> IdleTimeout {
        IdleTimeout::new(IDLE_TIMEOUT)
    }

    pub(super) fn for_upload() -> IdleTimeout {
        IdleTimeout::new(UPLOAD_IDLE_TIMEOUT)
    }

    fn new(idle_limit: Duration) -> IdleTimeout {
        IdleTimeout { idle_limit, last_activity: Mutex::new(Activity { at: Instant::now(), limit: idle_limit }) }
    }

    /// Restarts the timeout. Call this after sending part of the request.
    pub(super) fn restart(&self) {
        *lock(&self.last_activity) = Activity { at: Instant::now(), limit: self.idle_limit };
    }

    /// Switches to the longer timeout for upload responses. Call this after sending the complete body.
    pub(super) fn upload_sent(&self) {
        *lock(&self.last_activity) = Activity { at: Instant::now(), limit: UPLOAD_RESPONSE_TIMEOUT };
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
}
