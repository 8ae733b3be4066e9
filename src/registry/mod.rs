//! A client for container registries (distribution-spec): authorization, retries, idle timeouts, pulls, and pushes.
//!
//! Does not use an existing client crate, because those do not expose HTTP status codes and `Retry-After` headers, and
//! do not support tokens for two repositories or separate timeouts for uploads.

mod auth;
mod download;
mod error;
mod explain;
mod http;
mod idle_timeout;
mod login;
mod plain_http;
mod pull;
mod push;
mod retry;
mod scope;
#[cfg(test)]
mod time_limit_tests;
mod token;
mod waits;

pub(crate) use download::{DownloadError, Downloader};
pub(crate) use login::LoginCheck;
pub(crate) use pull::{FetchedManifest, StoredContent};
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

use self::auth::{AuthState, Connection, authorize};
use self::error::RegistryError;
use self::explain::FailedRequest;
use self::http::{check_status, http_client};
use self::idle_timeout::{IdleTimeout, Limits};
use self::plain_http::PlainHttpHosts;
use self::retry::{Patience, next_delay, with_jitter};
use self::waits::{Waiting, Waits};
use crate::credentials::CredentialSources;
use crate::error::{Class, Failure};
use crate::oci::reference::parse_reference;
use crate::process;
use crate::threads::{CancelToken, lock};
use crate::ui::Bars;

/// How long to wait between checks for cancellation and Ctrl-C while a request is pending.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A thread-safe client for all registries used in a run.
pub(crate) struct Registry {
    runtime: tokio::runtime::Runtime,
    /// The HTTP client, created on first use. The lock is held during creation, which is slow because it reads all CA
    /// certificates.
    client: Mutex<Option<Client>>,
    plain_http: PlainHttpHosts,
    auth: AuthState,
    waits: Waits,
    /// The hosts that have responded to a request.
    known_hosts: Mutex<BTreeSet<String>>,
    limits: Limits,
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
            plain_http: PlainHttpHosts::new(insecure),
            auth: AuthState::new(CredentialSources::default()),
            waits: Waits::new(waits::DEFAULT_LIMIT, bars),
            known_hosts: Mutex::default(),
            limits: Limits::default(),
            cancel: cancel.clone(),
            bars: bars.clone(),
        })
    }

    /// Uses credentials from the given sources.
    #[must_use]
    pub(crate) fn with_credentials(self, sources: CredentialSources) -> Registry {
        Registry { auth: AuthState::new(sources), ..self }
    }

    /// Sets how long to wait for an answer, including the time between attempts.
    #[must_use]
    pub(crate) fn with_answer_limit(self, limit: Duration) -> Registry {
        Registry { waits: Waits::new(limit, &self.bars), ..self }
    }

    /// Checks that a repository's registry can be reached. Returns how far the local clock is ahead of the registry's
    /// clock, or `None` if the response has no `Date` header.
    pub(crate) fn ping(&self, repository: &str) -> Result<Option<TimeDelta>> {
        let target = parse_reference(repository)?;
        self.retry(repository, Access::Push, Patience::Brief, || async {
            let (client, root) = (self.client()?, self.root(&target)?);
            self.auth.discover_auth(&client, &target, &root, self.connection()).await
        })?;
        Ok(self.auth.clock_offset(target.resolve_registry()))
    }

    /// Returns the source of the credentials that were sent for a repository, or `None` if none were sent.
    pub(crate) fn credentials_source(&self, repository: &str) -> Option<String> {
        self.auth.credentials_source(&parse_reference(repository).ok()?)
    }

    fn connection(&self) -> Connection<'_> {
        Connection { plain_http: &self.plain_http, waits: &self.waits, limits: self.limits }
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
        self.send_within(&self.limits.request(), Some(&self.waits), target, access, request).await
    }

    /// Sends a request like [`Registry::send`], with the given timeout. The wait for the response counts as a wait for the
    /// registry if `waits` is set. It must not be for uploads, which take as long as they make progress.
    async fn send_within(
        &self,
        timeout: &IdleTimeout,
        waits: Option<&Waits>,
        target: &Reference,
        access: Access<'_>,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let (client, root) = (self.client()?, self.root(target)?);
        self.auth.discover_auth(&client, target, &root, self.connection()).await?;
        lock(&self.known_hosts).insert(target.resolve_registry().to_owned());
        let authorization = self.auth.authorization(&client, target, access, self.connection()).await?;
        let waiting = waits.map(|waits| waits.start(target.resolve_registry(), target.registry()));
        let response = timeout.send(authorize(request(&client), authorization.as_ref())).await?;
        waiting.into_iter().for_each(Waiting::answered);
        if response.status() != StatusCode::UNAUTHORIZED {
            return check_status(response).await;
        }
        // The token was revoked, or the registry requires authorization only for some repositories.
        if !self.auth.update_auth(target, &response, &root, authorization.is_some()).await {
            return check_status(response).await;
        }
        let authorization = self.auth.authorization(&client, target, access, self.connection()).await?;
        if authorization.is_none() {
            return check_status(response).await;
        }
        check_status(timeout.send(authorize(request(&client), authorization.as_ref())).await?).await
    }

    /// Sends a request once, ignoring errors. Does not wait long for the response, because nothing depends on it.
    async fn send_best_effort(&self, target: &Reference, request: impl Fn(&Client) -> RequestBuilder) {
        let Ok(client) = self.client() else { return };
        if let Ok(authorization) = self.auth.authorization(&client, target, Access::Push, self.connection()).await {
            let request = authorize(request(&client), authorization.as_ref());
            let _ = self.limits.courtesy_request().send(request).await;
        }
    }

    /// Runs an idempotent request and retries it after errors that may be temporary. Explains the last error.
    fn retry<T, F>(&self, reference: &str, access: Access<'_>, patience: Patience, request: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        self.attempt(reference, patience, request).map_err(|error| self.explain(error, reference, access))
    }

    /// Runs an idempotent request and retries it after errors that may be temporary.
    fn attempt<T, F>(&self, reference: &str, patience: Patience, request: impl Fn() -> F) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let host = parse_reference(reference)?.resolve_registry().to_owned();
        let _wait = self.waits.scope(&host);
        let mut retries = 0;
        loop {
            let error = match self.block_on(&host, request()) {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            let Some(delay) = next_delay(&error, patience, retries, self.is_known(reference)) else {
                return Err(error);
            };
            let sleep = async {
                tokio::time::sleep(with_jitter(delay, fastrand::f64())).await;
                Ok(())
            };
            self.block_on(&host, sleep)?;
            retries += 1;
        }
    }

    /// Reports whether the reference's registry has responded to an earlier request.
    fn is_known(&self, reference: &str) -> bool {
        parse_reference(reference).is_ok_and(|target| lock(&self.known_hosts).contains(target.resolve_registry()))
    }

    /// Turns an error into a message with hints for the user.
    fn explain(&self, error: RegistryError, reference: &str, access: Access<'_>) -> anyhow::Error {
        match parse_reference(reference).and_then(|target| Ok((self.root(&target)?, target))) {
            Ok((root, target)) => {
                let credentials_source = self.auth.credentials_source(&target);
                FailedRequest { reference, access, root: root.as_str(), credentials_source }.explain(error)
            }
            Err(failure) => failure.into(),
        }
    }

    /// Waits for a request to a host to complete. Fails on cancellation, on Ctrl-C, and if the host does not answer.
    fn block_on<T>(
        &self,
        host: &str,
        request: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        self.runtime.block_on(async {
            let mut request = std::pin::pin!(request);
            loop {
                process::check_interrupt()?;
                self.cancel.check()?;
                self.waits.check(host)?;
                if let Ok(result) = tokio::time::timeout(POLL_INTERVAL, request.as_mut()).await {
                    return result;
                }
            }
        })
    }

    /// Returns the base URL of the registry's API: `https://host/v2/`.
    fn root(&self, target: &Reference) -> Result<Url, Failure> {
        let host = target.resolve_registry();
        let scheme = if self.plain_http.contains(host) { "http" } else { "https" };
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
