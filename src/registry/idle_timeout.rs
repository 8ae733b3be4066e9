//! Patience with a registry: it may take its time as long as something moves.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, Response};

use super::error::RegistryError;
use crate::threads::lock;
use crate::ui::size;

/// For an answer, and for every piece of it.
const SILENCE: Duration = Duration::from_secs(30);
/// The same for uploads, of which buffers on the way hold some.
const UPLOAD_SILENCE: Duration = Duration::from_secs(60);
/// For the answer to an upload: a registry may hash what it has got, and hand it on to its own storage.
const AFTER_UPLOAD: Duration = Duration::from_secs(300);

/// When something last moved, and for how long nothing may.
pub struct IdleTimeout {
    usual: Duration,
    /// The last movement, and the patience since.
    since: Mutex<(Instant, Duration)>,
}

impl IdleTimeout {
    pub fn new() -> IdleTimeout {
        IdleTimeout::with(SILENCE)
    }

    pub fn of_upload() -> IdleTimeout {
        IdleTimeout::with(UPLOAD_SILENCE)
    }

    fn with(usual: Duration) -> IdleTimeout {
        IdleTimeout { usual, since: Mutex::new((Instant::now(), usual)) }
    }

    /// A piece of an upload went out.
    pub fn moved(&self) {
        *lock(&self.since) = (Instant::now(), self.usual);
    }

    /// The whole of an upload went out.
    pub fn sent(&self) {
        *lock(&self.since) = (Instant::now(), AFTER_UPLOAD);
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn answer(&self, request: RequestBuilder) -> Result<Response, RegistryError> {
        self.moved();
        let mut answer = std::pin::pin!(request.send());
        loop {
            let (last, patience) = *lock(&self.since);
            match tokio::time::timeout_at((last + patience).into(), answer.as_mut()).await {
                Ok(answer) => return answer.map_err(RegistryError::Connection),
                Err(_) if lock(&self.since).0 == last => return Err(RegistryError::Silence),
                Err(_) => {}
            }
        }
    }
}

/// The next piece of a body; none at its end.
pub async fn piece(answer: &mut Response) -> Result<Option<bytes::Bytes>, RegistryError> {
    tokio::time::timeout(SILENCE, answer.chunk())
        .await
        .map_err(|_| RegistryError::Silence)?
        .map_err(RegistryError::Connection)
}

/// A whole body, of which no more than `limit` bytes are read.
pub async fn body(answer: &mut Response, limit: usize) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    while let Some(piece) = piece(answer).await? {
        if bytes.len() + piece.len() > limit {
            return Err(RegistryError::Unexpected(format!(
                "sends more than {} where JSON is wanted",
                size::format_bytes(limit as u64)
            )));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_ends_a_request_and_movement_does_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let watch = IdleTimeout::with(Duration::from_millis(200));
        let begun = Instant::now();
        let answer = std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..10 {
                    std::thread::sleep(Duration::from_millis(50));
                    watch.moved();
                }
            });
            runtime.block_on(watch.answer(client.get(url)))
        });
        assert!(matches!(answer, Err(RegistryError::Silence)));
        assert!(begun.elapsed() >= Duration::from_millis(700));
    }
}
