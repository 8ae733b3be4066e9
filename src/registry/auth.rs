//! Authorizes requests: detects the scheme that each registry requires (Basic or Bearer), and caches tokens.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use oci_spec::distribution::Reference;
use reqwest::header::{DATE, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, Response, Url};

use super::Access;
use super::credentials::{self, Credentials};
use super::error::RegistryError;
use super::http::{check_status, is_same_server};
use super::idle_timeout::IdleTimeout;
use super::token::{Token, fetch_token};
use crate::threads::lock;

/// The `Authorization` header of a request.
#[derive(Clone)]
pub(super) enum Authorization {
    Basic { user: String, password: String },
    Bearer(String),
}

/// Adds the `Authorization` header to a request, if authorization is required.
pub(super) fn authorize(request: RequestBuilder, authorization: Option<&Authorization>) -> RequestBuilder {
    match authorization {
        Some(Authorization::Basic { user, password }) => request.basic_auth(user, Some(password)),
        Some(Authorization::Bearer(token)) => request.bearer_auth(token),
        None => request,
    }
}

/// A parsed `WWW-Authenticate` header.
#[derive(Clone)]
enum Challenge {
    Basic,
    Bearer(BearerChallenge),
}

#[derive(Clone)]
struct BearerChallenge {
    /// The URL of the token server.
    realm: String,
    service: String,
    /// Whether the registry uses HTTPS. If it does, its token server must use HTTPS too.
    is_https: bool,
}

/// The authorization state of all registries used in a run, keyed by host.
#[derive(Default)]
pub(super) struct AuthState {
    credentials: Mutex<BTreeMap<String, Credentials>>,
    /// The authorization that each host requires, or `None` if it requires no authorization.
    challenges: Mutex<BTreeMap<String, Option<Challenge>>>,
    /// How far the local clock is ahead of each host's clock.
    clock_offsets: Mutex<BTreeMap<String, TimeDelta>>,
    /// Tokens, keyed by host and scopes. The lock is held while a token is fetched, so that no token is fetched twice.
    tokens: tokio::sync::Mutex<BTreeMap<(String, Vec<String>), Token>>,
}

impl AuthState {
    /// Returns the authorization for a request, or `None` if the registry requires none or no credentials are stored.
    pub(super) async fn authorization(
        &self,
        client: &Client,
        target: &Reference,
        access: Access<'_>,
    ) -> Result<Option<Authorization>, RegistryError> {
        let host = target.resolve_registry();
        let Some(challenge) = lock(&self.challenges).get(host).cloned().flatten() else { return Ok(None) };
        let credentials = self.credentials(host)?;
        match challenge {
            Challenge::Basic => Ok(match credentials {
                Credentials::Basic { user, password } => Some(Authorization::Basic { user, password }),
                Credentials::Anonymous | Credentials::IdentityToken(_) => None,
            }),
            Challenge::Bearer(challenge) => {
                let scopes = access.scopes(target.repository());
                let token = self.token(client, host, scopes, &challenge, &credentials).await?;
                Ok(Some(Authorization::Bearer(token)))
            }
        }
    }

    /// Returns a token for the given scopes. Reuses a cached token unless it is due for renewal.
    async fn token(
        &self,
        client: &Client,
        host: &str,
        scopes: Vec<String>,
        challenge: &BearerChallenge,
        credentials: &Credentials,
    ) -> Result<String, RegistryError> {
        let key = (host.to_owned(), scopes);
        let mut tokens = self.tokens.lock().await;
        if let Some(cached) = tokens.get(&key).filter(|cached| Instant::now() < cached.renew_at) {
            return Ok(cached.token.clone());
        }
        let realm = Url::parse(&challenge.realm).map_err(|error| {
            RegistryError::Protocol(format!("sent an invalid token server URL, '{}': {error}", challenge.realm))
        })?;
        if challenge.is_https && realm.scheme() != "https" {
            return Err(RegistryError::Protocol(format!("uses a token server without HTTPS: {realm}")));
        }
        let fetched = fetch_token(client, realm, &challenge.service, &key.1, credentials).await?;
        let token = fetched.token.clone();
        tokens.insert(key, fetched);
        Ok(token)
    }

    /// Determines which authorization a registry requires, once per host. Waiting for a 401 response to a later request
    /// would not work, because some registries respond to anonymous requests with a 404.
    pub(super) async fn discover_auth(
        &self,
        client: &Client,
        target: &Reference,
        root: &Url,
    ) -> Result<(), RegistryError> {
        let host = target.resolve_registry();
        if lock(&self.challenges).contains_key(host) {
            return Ok(());
        }
        let response = IdleTimeout::for_request().send(client.get(root.clone())).await?;
        if let Some(date) = date(response.headers()) {
            lock(&self.clock_offsets).insert(host.to_owned(), Utc::now() - date);
        }
        if matches!(response.status().as_u16(), 429 | 502..=504) {
            return check_status(response).await.map(drop);
        }
        lock(&self.challenges).insert(host.to_owned(), challenge(&response, root));
        Ok(())
    }

    /// Updates the required authorization after a 401 response. Returns whether to retry the request.
    pub(super) async fn update_auth(
        &self,
        target: &Reference,
        response: &Response,
        root: &Url,
        was_authorized: bool,
    ) -> bool {
        let Some(challenge) = challenge(response, root) else { return false };
        let host = target.resolve_registry();
        // A revoked token can be replaced, but the same password would be rejected again.
        let should_retry = !was_authorized || matches!(challenge, Challenge::Bearer(_));
        self.tokens.lock().await.retain(|(token_host, _), _| token_host != host);
        lock(&self.challenges).insert(host.to_owned(), Some(challenge));
        should_retry
    }

    /// Returns how far the local clock is ahead of a host's clock, or `None` if the host sent no date.
    pub(super) fn clock_offset(&self, host: &str) -> Option<TimeDelta> {
        lock(&self.clock_offsets).get(host).copied()
    }

    /// Reports whether credentials for a host were found and used.
    pub(super) fn is_logged_in(&self, host: &str) -> bool {
        lock(&self.credentials).get(host).is_some_and(|credentials| !matches!(credentials, Credentials::Anonymous))
    }

    /// Returns Docker's credentials for a host. Loads them only once, since a credential helper may prompt the user.
    fn credentials(&self, host: &str) -> Result<Credentials, RegistryError> {
        let mut loaded = lock(&self.credentials);
        if let Some(credentials) = loaded.get(host) {
            return Ok(credentials.clone());
        }
        let credentials = credentials::load(host)?;
        loaded.insert(host.to_owned(), credentials.clone());
        Ok(credentials)
    }
}

/// Parses the `Date` header (RFC 9110, section 6.6.1).
fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let value = headers.get(DATE)?.to_str().ok()?;
    Some(DateTime::parse_from_rfc2822(value).ok()?.to_utc())
}

/// Parses the `WWW-Authenticate` headers (RFC 9110, section 11.6.1), preferring Bearer. Returns `None` after a redirect
/// to another server, which must not receive the registry's credentials.
fn challenge(response: &Response, root: &Url) -> Option<Challenge> {
    if !is_same_server(response.url(), root) {
        return None;
    }
    let headers = response.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|header| header.to_str().ok());
    let challenges: Vec<_> =
        headers.flat_map(|header| http_auth::parse_challenges(header).unwrap_or_default()).collect();
    let with_scheme = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme.eq_ignore_ascii_case(scheme));
    if let Some(bearer) = with_scheme("bearer") {
        let parameter = |name: &str| {
            let parameter = bearer.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            parameter.map(|(_, value)| value.to_unescaped()).unwrap_or_default()
        };
        return Some(Challenge::Bearer(BearerChallenge {
            realm: parameter("realm"),
            service: parameter("service"),
            is_https: root.scheme() == "https",
        }));
    }
    with_scheme("basic").map(|_| Challenge::Basic)
}
