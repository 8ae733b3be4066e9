//! Downloads files from web servers that are not registries, with the same HTTP client, timeouts and retries.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use reqwest::Client;

use super::POLL_INTERVAL;
use super::error::RegistryError;
use super::http::{check_status, http_client, read_blob};
use super::idle_timeout::Limits;
use super::retry::{Patience, next_delay, with_jitter};
use crate::process;

/// Downloads files without authorization.
pub(crate) struct Downloader {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

/// The reason why a download failed.
#[derive(Debug)]
pub(crate) enum DownloadError {
    /// The server responded with this error status.
    Status(u16),
    /// The connection failed or stalled.
    Connection(String),
    /// A local problem, such as a full disk or Ctrl-C.
    Local(anyhow::Error),
}

impl Downloader {
    /// Creates a client that uses the proxies from the environment.
    pub(crate) fn new() -> Result<Downloader, DownloadError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Downloader {
            runtime: runtime.map_err(|error| DownloadError::Local(error.into()))?,
            client: http_client(reqwest::redirect::Policy::default())?,
        })
    }

    /// Downloads a file of at most `limit` bytes. Retries after transient errors.
    pub(crate) fn download(&self, url: &str, limit: u64) -> Result<Vec<u8>, DownloadError> {
        let mut retries = 0;
        loop {
            let error = match self.block_on(self.request(url, limit)) {
                Ok(content) => return Ok(content),
                Err(error) => error,
            };
            let Some(delay) = next_delay(&error, Patience::Normal, retries, false) else {
                return Err(error.into());
            };
            self.sleep(with_jitter(delay, fastrand::f64()))?;
            retries += 1;
        }
    }

    async fn request(&self, url: &str, limit: u64) -> Result<Vec<u8>, RegistryError> {
        let response = Limits::default().request().send(self.client.get(url)).await?;
        let mut response = check_status(response).await?;
        let mut content = Vec::new();
        read_blob(&mut response, |chunk| {
            if content.len() as u64 + chunk.len() as u64 > limit {
                return Err(RegistryError::Protocol(format!("sent more than {limit} bytes")));
            }
            content.extend_from_slice(chunk);
            Ok(true)
        })
        .await?;
        Ok(content)
    }

    fn sleep(&self, wait: Duration) -> Result<(), RegistryError> {
        self.block_on(async {
            tokio::time::sleep(wait).await;
            Ok(())
        })
    }

    /// Waits for a request to complete. Fails on Ctrl-C.
    fn block_on<T>(&self, request: impl Future<Output = Result<T, RegistryError>>) -> Result<T, RegistryError> {
        self.runtime.block_on(async {
            let mut request = std::pin::pin!(request);
            loop {
                process::check_interrupt()?;
                if let Ok(result) = tokio::time::timeout(POLL_INTERVAL, request.as_mut()).await {
                    return result;
                }
            }
        })
    }
}

impl From<RegistryError> for DownloadError {
    fn from(error: RegistryError) -> DownloadError {
        match error {
            RegistryError::Response(response) => DownloadError::Status(response.status),
            RegistryError::Local(error) => DownloadError::Local(error),
            RegistryError::Connection(error) | RegistryError::HttpClient(error) => {
                DownloadError::Connection(super::explain::root_cause(&error))
            }
            RegistryError::Stalled => DownloadError::Connection("the server did not respond in time".to_owned()),
            RegistryError::Protocol(problem) => DownloadError::Connection(format!("the server {problem}")),
            other => DownloadError::Connection(format!("{other:?}")),
        }
    }
}

impl fmt::Display for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DownloadError::Status(status) => write!(f, "the server responded with status {status}"),
            DownloadError::Connection(problem) => f.write_str(problem),
            DownloadError::Local(error) => write!(f, "{error:#}"),
        }
    }
}
