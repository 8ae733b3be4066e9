//! The HTTP client: proxies, certificates, timeouts.

use std::time::Duration;

use anyhow::Result;
use reqwest::Client;

use super::error::connection_error;
use crate::error::{Class, Failure};

pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client that goes through the user's proxies, and has no deadline of its own: `Watch` has.
pub fn http_client(redirects: reqwest::redirect::Policy) -> Result<Client, Failure> {
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
            // Not shown: it may hold a password.
            let proxy = proxy(url).map_err(|_| {
                Failure::new(Class::Config, format!("{name} is not the address of a proxy"))
                    .hint(format!("`export {name}=http://host:port`"))
            })?;
            builder = builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_string(&not_for)));
        }
    }
    builder.build().map_err(|error| connection_error(&error))
}

/// A proxy variable, in either spelling.
pub fn variable(name: &str) -> Option<String> {
    [name.to_owned(), name.to_lowercase()].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
}
