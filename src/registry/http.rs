//! Creates the HTTP client (proxies, redirects, connect timeout) and reads responses.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::redirect::Policy;
use reqwest::{Client, NoProxy, Proxy, Response, Url};

use super::error::RegistryError;
use super::idle_timeout::{DOCUMENT_TIMEOUT, ERROR_BODY_TIMEOUT, IDLE_TIMEOUT, MinimumSpeed};
use crate::error::{Class, Failure};
use crate::ui::size;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of bytes read from an error response.
const ERROR_BODY_LIMIT: usize = 64 * 1024;

/// Creates a client that uses the proxies from the environment. The client has no total timeout; use `IdleTimeout`
/// instead.
pub(super) fn http_client(redirects: Policy) -> Result<Client, RegistryError> {
    let mut builder = Client::builder()
        .user_agent(concat!("cargo-multiarch/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirects)
        .no_proxy();
    if let Some(url) = proxy_variable("HTTP_PROXY") {
        builder = builder.proxy(proxy("HTTP_PROXY", Proxy::http(url))?);
    }
    if let Some(url) = proxy_variable("HTTPS_PROXY") {
        builder = builder.proxy(proxy("HTTPS_PROXY", Proxy::https(url))?);
    }
    builder.build().map_err(RegistryError::HttpClient)
}

fn proxy(variable: &str, proxy: reqwest::Result<Proxy>) -> Result<Proxy, Failure> {
    // Omit reqwest's error, because it contains the URL, which may include a password.
    let proxy = proxy.map_err(|_| {
        Failure::new(Class::Config, format!("{variable} is not a valid proxy URL"))
            .hint(format!("set it to a URL: `export {variable}=http://host:port`"))
    })?;
    Ok(proxy.no_proxy(NoProxy::from_string(&hosts_without_proxy())))
}

/// Returns the hosts that are accessed without a proxy. Like Go's net/http, and therefore Docker, never uses a proxy for
/// loopback addresses.
fn hosts_without_proxy() -> String {
    format!("{},localhost,127.0.0.0/8,::1", proxy_variable("NO_PROXY").unwrap_or_default())
}

/// Returns the host and port of the proxy through which a URL is accessed, or `None` if there is none.
pub(super) fn proxy_of(url: &Url) -> Option<String> {
    let matcher = Matcher::builder()
        .http(proxy_variable("HTTP_PROXY").unwrap_or_default())
        .https(proxy_variable("HTTPS_PROXY").unwrap_or_default())
        .no(hosts_without_proxy())
        .build();
    let proxy = matcher.intercept(&url.as_str().parse().ok()?)?;
    let authority = proxy.uri().authority()?.as_str();
    Some(authority.rsplit('@').next().unwrap_or(authority).to_owned())
}

/// Returns the value of a proxy variable, whose name may be in upper or lower case. Returns `None` if it is unset or
/// empty.
fn proxy_variable(name: &str) -> Option<String> {
    let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    value(name).or_else(|| value(&name.to_lowercase()))
}

/// Returns the response if it has a success status, and an error otherwise.
pub(super) async fn check_status(mut response: Response) -> Result<Response, RegistryError> {
    if response.status().is_success() {
        return Ok(response);
    }
    // The status is enough to report the error, so a message that cannot be read is ignored.
    let body = read_body_within(ERROR_BODY_TIMEOUT, &mut response, ERROR_BODY_LIMIT).await.unwrap_or_default();
    Err(RegistryError::response(response.status(), response.headers(), &body))
}

/// Reads a complete document. Fails if it is larger than `limit` bytes, or takes too long to arrive.
pub(super) async fn read_body(response: &mut Response, limit: usize) -> Result<Vec<u8>, RegistryError> {
    read_body_within(DOCUMENT_TIMEOUT, response, limit).await
}

pub(super) async fn read_body_within(
    timeout: Duration,
    response: &mut Response,
    limit: usize,
) -> Result<Vec<u8>, RegistryError> {
    tokio::time::timeout(timeout, read_limited(response, limit)).await.unwrap_or(Err(RegistryError::Stalled))
}

async fn read_limited(response: &mut Response, limit: usize) -> Result<Vec<u8>, RegistryError> {
    let mut body = Vec::new();
    while let Some(chunk) = next_chunk(response).await? {
        if body.len() + chunk.len() > limit {
            let limit = size::format_bytes(limit as u64);
            return Err(RegistryError::Protocol(format!("sent a response larger than {limit}")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Passes each chunk of a blob to `on_chunk`, until it returns false. Fails if the transfer is too slow to ever finish.
pub(super) async fn read_blob(
    response: &mut Response,
    mut on_chunk: impl FnMut(&[u8]) -> Result<bool, RegistryError>,
) -> Result<(), RegistryError> {
    let mut speed = MinimumSpeed::new(Instant::now());
    while let Some(chunk) = next_chunk(response).await? {
        if !on_chunk(&chunk)? {
            return Ok(());
        }
        speed.received(chunk.len(), Instant::now())?;
    }
    Ok(())
}

/// Reads the next chunk of a response body. Returns `None` at the end.
async fn next_chunk(response: &mut Response) -> Result<Option<Bytes>, RegistryError> {
    match tokio::time::timeout(IDLE_TIMEOUT, response.chunk()).await {
        Ok(chunk) => chunk.map_err(RegistryError::Connection),
        Err(_) => Err(RegistryError::Stalled),
    }
}

/// Reports whether a URL points to the registry's own server: the same origin, or the same host over HTTPS.
pub(super) fn is_same_server(url: &Url, root: &Url) -> bool {
    let is_https = url.scheme() == "https" && url.port_or_known_default() == Some(443);
    url.origin() == root.origin() || (url.host_str() == root.host_str() && is_https)
}
