//! The way to a registry: one client for the run, and requests that are authorized, watched, interruptible, and made
//! again where a registry is only busy. What is asked is in `pull` and `push`.
//!
//! The published clients of the protocol hide what these need: the status behind an error's code, `Retry-After`, a
//! token for two repositories, and an upload that takes longer than a read may.

pub mod auth;
pub mod credentials;
pub mod error;
pub mod http;
pub mod idle_timeout;
pub mod pull;
pub mod push;
pub mod scope;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use chrono::TimeDelta;
use oci_spec::distribution::Reference;
use reqwest::{Client, RequestBuilder, Response, Url};

use self::auth::{Tokens, showing};
use self::error::{RegistryError, explain};
use self::http::http_client;
use self::idle_timeout::IdleTimeout;
use self::scope::Access;
use crate::error::{Class, Failure};
use crate::oci::reference::{is_loopback, parse_reference};
use crate::process;
use crate::threads::lock;
use crate::ui::Bars;

/// Waits before the second, third and fourth try of a request that may be repeated.
const BACK_OFF: [Duration; 3] = [Duration::from_millis(200), Duration::from_millis(600), Duration::from_secs(2)];
/// A registry that wants to be left alone for longer is down.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A client for all the registries of a run, for any thread.
pub struct Registry {
    runtime: tokio::runtime::Runtime,
    /// Locked while it is made, which takes a while: it reads all CA certificates.
    client: Mutex<Option<Client>>,
    plain_http: BTreeSet<String>,
    tokens: Tokens,
    given_up: AtomicBool,
    /// For blobs on their way.
    pub(super) bars: Bars,
}

impl Registry {
    /// A client that speaks HTTP to loopback registries and to the `insecure` ones, and HTTPS to all others.
    pub fn new(insecure: &[String], bars: &Bars) -> Result<Registry> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let plain_http = insecure.iter().cloned().collect();
        let (client, given_up) = (Mutex::default(), AtomicBool::new(false));
        Ok(Registry { runtime, client, plain_http, tokens: Tokens::default(), given_up, bars: bars.clone() })
    }

    /// `https://host/v2/`
    pub(super) fn root(&self, target: &Reference) -> Result<Url, Failure> {
        let host = target.resolve_registry();
        let scheme = if is_loopback(host) || self.plain_http.contains(host) { "http" } else { "https" };
        Url::parse(&format!("{scheme}://{host}/v2/")).map_err(|error| {
            Failure::new(Class::Config, format!("'{host}' is not a registry's address: {error}"))
                .hint("name a host, and perhaps a port: `--registry ghcr.io/you`")
        })
    }

    /// `https://host/v2/repository/…`
    pub(super) fn url(&self, target: &Reference, rest: &str) -> Result<Url, Failure> {
        let mut url = self.root(target)?;
        url.set_path(&format!("/v2/{}/{rest}", target.repository()));
        Ok(url)
    }

    pub(super) fn manifest_url(&self, target: &Reference) -> Result<Url, Failure> {
        self.url(target, &format!("manifests/{}", target.digest().or(target.tag()).unwrap_or("latest")))
    }

    pub(super) fn blob_url(&self, target: &Reference, digest: &str) -> Result<Url, Failure> {
        self.url(target, &format!("blobs/{digest}"))
    }

    /// Asks the registry of a repository what it wants to see: whoever answers is there, and trusted. How far this
    /// machine's clock is ahead of the registry's, where that tells the time.
    pub fn ping(&self, repository: &str) -> Result<Option<TimeDelta>> {
        let target = parse_reference(repository)?;
        self.retry(repository, Access::Push, || async {
            let (client, root) = (self.client()?, self.root(&target)?);
            self.tokens.discover_auth(&client, &target, &root).await
        })?;
        Ok(self.tokens.ahead(target.resolve_registry()))
    }

    /// Were credentials shown to the registry of a repository?
    pub fn is_logged_in(&self, repository: &str) -> bool {
        parse_reference(repository).is_ok_and(|target| self.tokens.is_logged_in(target.resolve_registry()))
    }

    /// Ends all requests that are under way: nobody waits for them any more.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Made when it is needed: a build without a base asks no registry, and may have no CA certificates.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let mut made = lock(&self.client);
        if let Some(client) = &*made {
            return Ok(client.clone());
        }
        Ok(made.insert(http_client(reqwest::redirect::Policy::default())?).clone())
    }

    /// Sends a request, authorized as its registry wants it, and returns the answer if that is a success.
    pub(super) async fn send(
        &self,
        target: &Reference,
        access: Access<'_>,
        watch: &IdleTimeout,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let (client, root) = (self.client()?, self.root(target)?);
        self.tokens.discover_auth(&client, target, &root).await?;
        let shown = self.tokens.known(&client, target, access).await?;
        let answer = watch.answer(showing(request(&client), shown.as_ref())).await?;
        if answer.status() != reqwest::StatusCode::UNAUTHORIZED {
            return RegistryError::unless_success(answer).await;
        }
        // A token that has ended early, or a registry that guards only some of it.
        if !self.tokens.update_auth(target, &answer, &root, shown.is_some()).await {
            return RegistryError::unless_success(answer).await;
        }
        let shown = self.tokens.known(&client, target, access).await?;
        if shown.is_none() {
            return RegistryError::unless_success(answer).await;
        }
        RegistryError::unless_success(watch.answer(showing(request(&client), shown.as_ref())).await?).await
    }

    /// Sends a request once, with what is known of the registry, whatever becomes of it.
    pub(super) async fn tell(&self, target: &Reference, request: impl Fn(&Client) -> RequestBuilder) {
        let Ok(client) = self.client() else { return };
        if let Ok(shown) = self.tokens.known(&client, target, Access::Push).await {
            let _ = IdleTimeout::new().answer(showing(request(&client), shown.as_ref())).await;
        }
    }

    /// Runs an idempotent request, again after a back-off where the registry is only busy.
    pub(super) fn retry<T, F>(&self, reference: &str, access: Access<'_>, request: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let explain = |trouble| match parse_reference(reference).and_then(|target| self.root(&target)) {
            Ok(root) => explain(trouble, reference, access, root.as_str(), self.is_logged_in(reference)),
            Err(failure) => failure.into(),
        };
        let mut waits = BACK_OFF.iter();
        loop {
            match self.wait(request())? {
                Ok(result) => return Ok(result),
                // Once more is enough for one that takes half a minute to say nothing.
                Err(RegistryError::Silence) if waits.len() < BACK_OFF.len() => {
                    return Err(explain(RegistryError::Silence));
                }
                Err(trouble) => match waits.next() {
                    Some(wait) if trouble.is_transient() && trouble.retry_after() <= Some(LONGEST_WAIT) => {
                        let wait = trouble.retry_after().unwrap_or_default().max(*wait);
                        self.wait(async { tokio::time::sleep(wait).await })?;
                    }
                    _ => return Err(explain(trouble)),
                },
            }
        }
    }

    /// Waits for a request, but not when the user has asked to stop.
    fn wait<T>(&self, request: impl Future<Output = T>) -> Result<T, Failure> {
        self.runtime.block_on(async {
            let mut request = std::pin::pin!(request);
            loop {
                process::check_interrupt()?;
                if self.given_up.load(Ordering::Relaxed) {
                    return Err(Failure::new(Class::Registry, "given up").hint("see what failed before"));
                }
                if let Ok(result) = tokio::time::timeout(Duration::from_millis(100), request.as_mut()).await {
                    return Ok(result);
                }
            }
        })
    }
}
