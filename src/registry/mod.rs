//! A client for container registries (distribution-spec): authorization, retries, idle timeouts, pulls, and pushes.
//!
//! Does not use an existing client crate, because those do not expose HTTP status codes and `Retry-After` headers, and
//! do not support tokens for two repositories or separate timeouts for uploads.

mod auth;
mod credentials;
mod download;
mod error;
mod explain;
mod http;
mod idle_timeout;
mod pull;
mod push;
mod scope;
mod token;

pub(crate) use download::{DownloadError, Downloader};
pub(crate) use pull::FetchedManifest;
pub(crate) use push::PushedBlob;
pub(crate) use scope::Access;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use chrono::TimeDelta;
use oci_spec::distribution::Reference;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};

use self::auth::{AuthState, authorize};
use self::error::RegistryError;
use self::explain::FailedRequest;
use self::http::{check_status, http_client};
use self::idle_timeout::IdleTimeout;
use crate::error::{Class, Failure};
use crate::oci::reference::{is_loopback, parse_reference};
use crate::process;
use crate::threads::{CancelToken, lock};
use crate::ui::Bars;

/// Delays before the second, third, and fourth attempts at a request.
const BACKOFF: [Duration; 3] = [Duration::from_millis(200), Duration::from_millis(600), Duration::from_secs(2)];
/// Maximum `Retry-After` delay to wait for. If the registry asks for a longer delay, the request fails.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// How long to wait between checks for cancellation and Ctrl-C while a request is pending.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A thread-safe client for all registries used in a run.
pub(crate) struct Registry {
    runtime: tokio::runtime::Runtime,
    /// The HTTP client, created on first use. The lock is held during creation, which is slow because it reads all CA
    /// certificates.
    client: Mutex<Option<Client>>,
    /// Hosts that are accessed over plain HTTP.
    plain_http: BTreeSet<String>,
    auth: AuthState,
    cancel: CancelToken,
    /// Progress bars for uploads and downloads.
    bars: Bars,
}

impl Registry {
    /// Creates a client that uses plain HTTP for loopback and `insecure` hosts, and HTTPS for all others. After
    /// cancellation through `cancel`, all requests fail with [`Cancelled`](crate::threads::Cancelled).
    pub(crate) fn new(insecure: &[String], cancel: &CancelToken, bars: &Bars) -> Result<Registry> {
        Ok(Registry {
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?,
            client: Mutex::default(),
            plain_http: insecure.iter().cloned().collect(),
            auth: AuthState::default(),
            cancel: cancel.clone(),
            bars: bars.clone(),
        })
    }

    /// Checks that a repository's registry can be reached. Returns how far the local clock is ahead of the registry's
    /// clock, or `None` if the response has no `Date` header.
    pub(crate) fn ping(&self, repository: &str) -> Result<Option<TimeDelta>> {
        let target = parse_reference(repository)?;
        self.retry(repository, Access::Push, || async {
            let (client, root) = (self.client()?, self.root(&target)?);
            self.auth.discover_auth(&client, &target, &root).await
        })?;
        Ok(self.auth.clock_offset(target.resolve_registry()))
    }

    /// Reports whether credentials were sent to a repository's registry.
    pub(crate) fn is_logged_in(&self, repository: &str) -> bool {
        parse_reference(repository).is_ok_and(|target| self.auth.is_logged_in(target.resolve_registry()))
    }

    /// Returns the HTTP client, creating it on first use. This can fail on machines without CA certificates, so builds
    /// that send no requests must not create it.
    fn client(&self) -> Result<Client, RegistryError> {
        let mut client = lock(&self.client);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        Ok(client.insert(http_client(reqwest::redirect::Policy::default())?).clone())
    }

    /// Sends a request with the required authorization. Fails unless the response has a success status.
    async fn send(
        &self,
        target: &Reference,
        access: Access<'_>,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        self.send_within(&IdleTimeout::for_request(), target, access, request).await
    }

    /// Sends a request like [`Registry::send`], with the given timeout.
    async fn send_within(
        &self,
        timeout: &IdleTimeout,
        target: &Reference,
        access: Access<'_>,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let (client, root) = (self.client()?, self.root(target)?);
        self.auth.discover_auth(&client, target, &root).await?;
        let authorization = self.auth.authorization(&client, target, access).await?;
        let response = timeout.send(authorize(request(&client), authorization.as_ref())).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return check_status(response).await;
        }
        // The token was revoked, or the registry requires authorization only for some repositories.
        if !self.auth.update_auth(target, &response, &root, authorization.is_some()).await {
            return check_status(response).await;
        }
        let authorization = self.auth.authorization(&client, target, access).await?;
        if authorization.is_none() {
            return check_status(response).await;
        }
        check_status(timeout.send(authorize(request(&client), authorization.as_ref())).await?).await
    }

    /// Sends a request once, ignoring errors.
    async fn send_best_effort(&self, target: &Reference, request: impl Fn(&Client) -> RequestBuilder) {
        let Ok(client) = self.client() else { return };
        if let Ok(authorization) = self.auth.authorization(&client, target, Access::Push).await {
            let request = authorize(request(&client), authorization.as_ref());
            let _ = IdleTimeout::for_request().send(request).await;
        }
    }

    /// Runs an idempotent request and retries it after transient errors.
    fn retry<T, F>(&self, reference: &str, access: Access<'_>, request: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let mut backoff = BACKOFF.iter();
        loop {
            let is_first_attempt = backoff.len() == BACKOFF.len();
            let error = match self.block_on(request()) {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            match backoff.next() {
                Some(wait) if should_retry(&error, is_first_attempt) => {
                    let wait = error.retry_after().unwrap_or_default().max(*wait);
                    let sleep = async {
                        tokio::time::sleep(wait).await;
                        Ok(())
                    };
                    self.block_on(sleep).map_err(|error| self.explain(error, reference, access))?;
                }
                _ => return Err(self.explain(error, reference, access)),
            }
        }
    }

    /// Turns an error into a message with hints for the user.
    fn explain(&self, error: RegistryError, reference: &str, access: Access<'_>) -> anyhow::Error {
        match parse_reference(reference).and_then(|target| self.root(&target)) {
            Ok(root) => {
                let logged_in = self.is_logged_in(reference);
                FailedRequest { reference, access, root: root.as_str(), logged_in }.explain(error)
            }
            Err(failure) => failure.into(),
        }
    }

    /// Waits for a request to complete. Fails on cancellation and on Ctrl-C.
    fn block_on<T>(&self, request: impl Future<Output = Result<T, RegistryError>>) -> Result<T, RegistryError> {
        self.runtime.block_on(async {
            let mut request = std::pin::pin!(request);
            loop {
                process::check_interrupt()?;
                self.cancel.check()?;
                if let Ok(result) = tokio::time::timeout(POLL_INTERVAL, request.as_mut()).await {
                    return result;
                }
            }
        })
    }

    /// Returns the base URL of the registry's API: `https://host/v2/`.
    fn root(&self, target: &Reference) -> Result<Url, Failure> {
        let host = target.resolve_registry();
        let scheme = if is_loopback(host) || self.plain_http.contains(host) { "http" } else { "https" };
        Url::parse(&format!("{scheme}://{host}/v2/")).map_err(|error| {
            Failure::new(Class::Config, format!("'{host}' is not a valid registry address: {error}"))
                .hint("use a host name with an optional port and path: `--registry ghcr.io/you`")
        })
    }

    /// Returns a URL below the repository: `https://host/v2/repository/path`.
    fn repository_url(&self, target: &Reference, path: &str) -> Result<Url, Failure> {
        let mut url = self.root(target)?;
        url.set_path(&format!("/v2/{}/{path}", target.repository()));
        Ok(url)
    }

    fn manifest_url(&self, target: &Reference) -> Result<Url, Failure> {
        let name = target.digest().or(target.tag()).unwrap_or("latest");
        self.repository_url(target, &format!("manifests/{name}"))
    }

    fn blob_url(&self, target: &Reference, digest: &str) -> Result<Url, Failure> {
        self.repository_url(target, &format!("blobs/{digest}"))
    }

    fn upload_url(&self, target: &Reference) -> Result<Url, Failure> {
        self.repository_url(target, "blobs/uploads/")
    }
}

/// Reports whether to try a failed request again.
fn should_retry(error: &RegistryError, is_first_attempt: bool) -> bool {
    // A timeout takes at least 30 seconds, so retry only once after a timeout.
    let stalled_again = matches!(error, RegistryError::Stalled) && !is_first_attempt;
    let too_long = error.retry_after().is_some_and(|wait| wait > MAX_RETRY_AFTER);
    error.is_transient() && !stalled_again && !too_long
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::threads::Cancelled;

    #[test]
    fn cancelled_requests_end_immediately() {
        let unresponsive = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let repository = format!("{}/app", unresponsive.local_addr().unwrap());
        let cancel = CancelToken::default();
        let registry = Registry::new(&[], &cancel, &Bars::default()).unwrap();
        let start = Instant::now();
        let error = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(200));
                cancel.cancel();
            });
            registry.check_push(&repository).unwrap_err()
        });
        assert!(Cancelled::caused(&error), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}
