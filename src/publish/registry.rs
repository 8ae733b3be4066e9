//! The way to a registry: one client for the run, and requests that are authorized, watched, interruptible, and made
//! again where a registry is only busy. What is asked is in `pull` and `push`.
//!
//! The published clients of the protocol hide what these need: the status behind an error's code, `Retry-After`, a
//! token for two repositories, and an upload that takes longer than a read may.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use oci_spec::distribution::Reference;
use reqwest::{Client, RequestBuilder, Response};

use super::answers::{Trouble, explain, unconnected};
use super::token::{Access, Shown, Tokens};
use super::watch::Watch;
use crate::error::{Class, Failure};
use crate::plan::is_loopback;
use crate::threads::lock;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
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
}

impl Registry {
    /// A client that speaks HTTP to loopback registries and to the `insecure` ones, and HTTPS to all others.
    pub fn new(insecure: &[String]) -> Result<Registry> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let plain_http = insecure.iter().cloned().collect();
        Ok(Registry { runtime, client: Mutex::default(), plain_http, tokens: Tokens::default() })
    }

    /// `https://host/v2/`
    fn root(&self, target: &Reference) -> String {
        let host = target.resolve_registry();
        let scheme = if is_loopback(host) || self.plain_http.contains(host) { "http" } else { "https" };
        format!("{scheme}://{host}/v2/")
    }

    /// `https://host/v2/repository`
    pub(super) fn url(&self, target: &Reference) -> String {
        format!("{}{}", self.root(target), target.repository())
    }

    /// Made when it is needed: a build without a base asks no registry, and may have no CA certificates.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let mut made = lock(&self.client);
        if let Some(client) = &*made {
            return Ok(client.clone());
        }
        let client = client(reqwest::redirect::Policy::default()).map_err(|error| unconnected(&error))?;
        Ok(made.insert(client).clone())
    }

    /// Sends a request, authorized as its registry wants it, and returns the answer if that is a success.
    pub(super) async fn send(
        &self,
        target: &Reference,
        access: Access<'_>,
        watch: &Watch,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, Trouble> {
        let client = self.client()?;
        self.tokens.introduce(&client, target, &self.root(target)).await?;
        let shown = self.tokens.known(&client, target, access).await?;
        let authorized =
            |shown: &Option<Shown>| shown.iter().fold(request(&client), |request, shown| shown.on(request));
        let answer = watch.answer(authorized(&shown)).await?;
        if answer.status() != reqwest::StatusCode::UNAUTHORIZED {
            return Trouble::unless_success(answer).await;
        }
        // A token that has ended early, or a registry that guards only some of it.
        if !self.tokens.learn(target, &answer, shown.is_some()).await {
            return Trouble::unless_success(answer).await;
        }
        let shown = self.tokens.known(&client, target, access).await?;
        let answer = if shown.is_some() { watch.answer(authorized(&shown)).await? } else { answer };
        Trouble::unless_success(answer).await
    }

    /// Runs an idempotent request, again after a back-off where the registry is only busy.
    pub(super) fn retry<T, F>(&self, reference: &str, request: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let mut waits = BACK_OFF.iter();
        loop {
            match self.wait(request())? {
                Ok(result) => return Ok(result),
                Err(trouble) => match waits.next() {
                    Some(wait) if trouble.is_transient() => {
                        let asked = trouble.retry_after().unwrap_or_default().min(LONGEST_WAIT);
                        self.wait(async { tokio::time::sleep((*wait).max(asked)).await })?;
                    }
                    _ => return Err(explain(trouble, reference)),
                },
            }
        }
    }

    /// Waits for a request, but not when the user has asked to stop.
    fn wait<T>(&self, request: impl Future<Output = T>) -> Result<T, Failure> {
        self.runtime.block_on(async {
            let mut request = std::pin::pin!(request);
            loop {
                crate::process::check_interrupt()?;
                if let Ok(result) = tokio::time::timeout(Duration::from_millis(100), request.as_mut()).await {
                    return Ok(result);
                }
            }
        })
    }
}

/// A client that goes through the user's proxies, and has no deadline of its own: `Watch` has.
pub(super) fn client(redirects: reqwest::redirect::Policy) -> reqwest::Result<Client> {
    let mut builder = Client::builder()
        .user_agent(concat!("cargo-multiarch/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirects)
        .no_proxy();
    // Loopback is behind no proxy, as in Go's net/http and so in Docker.
    let not_for = format!("{},localhost,127.0.0.0/8,::1", variable("NO_PROXY").unwrap_or_default());
    for (name, proxy) in [
        ("HTTP_PROXY", reqwest::Proxy::http as fn(String) -> reqwest::Result<reqwest::Proxy>),
        ("HTTPS_PROXY", reqwest::Proxy::https),
    ] {
        if let Some(url) = variable(name) {
            builder = builder.proxy(proxy(url)?.no_proxy(reqwest::NoProxy::from_string(&not_for)));
        }
    }
    builder.build()
}

/// A proxy variable, in either spelling.
fn variable(name: &str) -> Option<String> {
    [name.to_owned(), name.to_lowercase()].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
}

pub(super) fn parse(reference: &str) -> Result<Reference, Failure> {
    reference.parse().map_err(|error| Failure::new(Class::Config, format!("'{reference}' is not a reference: {error}")))
}
