//! A client for container registries (distribution-spec): authorization, retries, idle timeouts, pull and push.
//!
//! The published clients of the protocol hide what this needs: the status behind an error's code, `Retry-After`, a
//! token for two repositories, and an upload that takes longer than a read may.

mod auth;
mod credentials;
mod error;
mod explain;
mod http;
mod idle_timeout;
mod pull;
mod push;
mod scope;
mod token;

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

/// Waits before the second, third and fourth try of a request.
const BACKOFF: [Duration; 3] = [Duration::from_millis(200), Duration::from_millis(600), Duration::from_secs(2)];
/// The longest `Retry-After` that we wait for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// How often a request checks for cancellation and Ctrl-C.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A client for all the registries of a run, to be used from any thread.
pub(crate) struct Registry {
    runtime: tokio::runtime::Runtime,
    /// Locked while it is created, which takes a while: it reads all CA certificates.
    client: Mutex<Option<Client>>,
    plain_http: BTreeSet<String>,
    auth: AuthState,
    cancel: CancelToken,
    /// For blobs in transfer.
    bars: Bars,
}

impl Registry {
    /// Creates a client that uses HTTP for registries on loopback and for the `insecure` ones, and HTTPS for all others.
    /// Once `cancel` is cancelled, all requests fail with [`Cancelled`](crate::threads::Cancelled).
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

    /// Checks that the registry of a repository answers, over a trusted connection. Returns how far this machine's
    /// clock is ahead of the registry's, if that sends a date.
    pub(crate) fn ping(&self, repository: &str) -> Result<Option<TimeDelta>> {
        let target = parse_reference(repository)?;
        self.retry(repository, Access::Push, || async {
            let (client, root) = (self.client()?, self.root(&target)?);
            self.auth.discover_auth(&client, &target, &root).await
        })?;
        Ok(self.auth.clock_offset(target.resolve_registry()))
    }

    /// Returns whether credentials were sent to the registry of a repository.
    pub(crate) fn is_logged_in(&self, repository: &str) -> bool {
        parse_reference(repository).is_ok_and(|target| self.auth.is_logged_in(target.resolve_registry()))
    }

    /// Returns the HTTP client. It is created on first use: a build without a base needs none, and the machine may lack
    /// CA certificates.
    fn client(&self) -> Result<Client, RegistryError> {
        let mut client = lock(&self.client);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        Ok(client.insert(http_client(reqwest::redirect::Policy::default())?).clone())
    }

    /// Sends a request with the authorization that the registry wants, and returns the response if its status is a
    /// success.
    async fn send(
        &self,
        target: &Reference,
        access: Access<'_>,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        self.send_within(&IdleTimeout::for_request(), target, access, request).await
    }

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
        // The token was revoked, or the registry requires authorization for a part of it only.
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

    /// Runs an idempotent request, and repeats it if it failed for a reason that may pass.
    fn retry<T, F>(&self, reference: &str, access: Access<'_>, request: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let mut backoff = BACKOFF.iter();
        loop {
            let is_first_try = backoff.len() == BACKOFF.len();
            let error = match self.block_on(request()) {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            match backoff.next() {
                Some(wait) if is_worth_retrying(&error, is_first_try) => {
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

    fn explain(&self, error: RegistryError, reference: &str, access: Access<'_>) -> anyhow::Error {
        match parse_reference(reference).and_then(|target| self.root(&target)) {
            Ok(root) => {
                let logged_in = self.is_logged_in(reference);
                FailedRequest { reference, access, root: root.as_str(), logged_in }.explain(error)
            }
            Err(failure) => failure.into(),
        }
    }

    /// Waits for a request, until it is cancelled or the user presses Ctrl-C.
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

    /// `https://host/v2/`
    fn root(&self, target: &Reference) -> Result<Url, Failure> {
        let host = target.resolve_registry();
        let scheme = if is_loopback(host) || self.plain_http.contains(host) { "http" } else { "https" };
        Url::parse(&format!("{scheme}://{host}/v2/")).map_err(|error| {
            Failure::new(Class::Config, format!("'{host}' is not a registry's address: {error}"))
                .hint("name a host, and perhaps a port: `--registry ghcr.io/you`")
        })
    }

    /// `https://host/v2/repository/path`
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

fn is_worth_retrying(error: &RegistryError, is_first_try: bool) -> bool {
    // To time out takes half a minute: once more is enough.
    let stalled_again = matches!(error, RegistryError::Stalled) && !is_first_try;
    let too_long = error.retry_after().is_some_and(|wait| wait > MAX_RETRY_AFTER);
    error.is_transient() && !stalled_again && !too_long
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::threads::Cancelled;

    #[test]
    fn a_cancelled_request_ends_at_once() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let repository = format!("{}/app", silent.local_addr().unwrap());
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
