//! Creates the HTTP client (proxies, redirects, connect timeout) and reads responses.

use std::time::Duration;

use bytes::Bytes;
use reqwest::redirect::Policy;
use reqwest::{Client, NoProxy, Proxy, Response, Url};

use super::error::RegistryError;
use super::idle_timeout::IDLE_TIMEOUT;
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
    // Like Go's net/http, and therefore Docker, never use a proxy for loopback addresses.
    let excluded = format!("{},localhost,127.0.0.0/8,::1", proxy_variable("NO_PROXY").unwrap_or_default());
    Ok(proxy.no_proxy(NoProxy::from_string(&excluded)))
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
    let body = read_body(&mut response, ERROR_BODY_LIMIT).await.unwrap_or_default();
    Err(RegistryError::response(response.status(), response.headers(), &body))
}

/// Reads a complete response body. Fails if it is larger than `limit` bytes.
pub(super) async fn read_body(response: &mut Response, limit: usize) -> Result<Vec<u8>, RegistryError> {
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

/// Reads the next chunk of a response body. Returns `None` at the end.
pub(super) async fn next_chunk(response: &mut Response) -> Result<Option<Bytes>, RegistryError> {
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
