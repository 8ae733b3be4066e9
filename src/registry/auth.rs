//! Authorizes requests: detects the scheme that each registry requires (Basic or Bearer), and caches tokens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use oci_spec::distribution::Reference;
use reqwest::header::{DATE, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, Response, Url};

use super::Access;
use super::error::RegistryError;
use super::http::{check_status, is_same_server};
use super::idle_timeout::Limits;
use super::plain_http::PlainHttpHosts;
use super::token::{Token, fetch_token};
use super::waits::Waits;
use crate::credentials::{CredentialSources, Credentials, FoundCredentials};
use crate::error::{Class, Failure};
use crate::oci::reference::is_loopback;
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
pub(super) struct AuthState {
    sources: Arc<CredentialSources>,
    /// The credentials that were found, keyed by host and repository.
    found: Mutex<BTreeMap<(String, String), Option<FoundCredentials>>>,
    /// Held while credentials are looked up, so that the user is not prompted twice.
    lookup: tokio::sync::Mutex<()>,
    /// The authorization that each host requires, or `None` if it requires no authorization.
    challenges: Mutex<BTreeMap<String, Option<Challenge>>>,
    /// How far the local clock is ahead of each host's clock.
    clock_offsets: Mutex<BTreeMap<String, TimeDelta>>,
    /// Tokens, keyed by host and scopes. The lock is held while a token is fetched, so that no token is fetched twice.
    tokens: tokio::sync::Mutex<BTreeMap<(String, Vec<String>), Token>>,
}

impl AuthState {
    pub(super) fn new(sources: CredentialSources) -> AuthState {
        AuthState {
            sources: Arc::new(sources),
            found: Mutex::default(),
            lookup: tokio::sync::Mutex::default(),
            challenges: Mutex::default(),
            clock_offsets: Mutex::default(),
            tokens: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the authorization for a request, or `None` if the registry requires none or no credentials are stored.
    pub(super) async fn authorization(
        &self,
        client: &Client,
        target: &Reference,
        access: Access<'_>,
        connection: Connection<'_>,
    ) -> Result<Option<Authorization>, RegistryError> {
        let host = target.resolve_registry();
        let Some(challenge) = lock(&self.challenges).get(host).cloned().flatten() else { return Ok(None) };
        let credentials = self.credentials(target, connection.waits).await?;
        match challenge {
            Challenge::Basic => Ok(match credentials {
                Some(Credentials::Password { user, password }) => Some(Authorization::Basic { user, password }),
                Some(Credentials::IdentityToken(_)) | None => None,
            }),
            Challenge::Bearer(challenge) => {
                let scopes = access.scopes(target.repository());
                let token = self.token(client, host, scopes, &challenge, credentials.as_ref(), connection).await?;
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
        credentials: Option<&Credentials>,
        connection: Connection<'_>,
    ) -> Result<String, RegistryError> {
        let key = (host.to_owned(), scopes);
        let mut tokens = self.tokens.lock().await;
        if let Some(cached) = tokens.get(&key).filter(|cached| Instant::now() < cached.renew_at) {
            return Ok(cached.token.clone());
        }
        let realm = connection.check_realm(host, challenge)?;
        let waiting = connection.waits.start(host, realm.host_str().unwrap_or(host));
        let timeout = connection.limits.request();
        let fetched = fetch_token(client, realm, &challenge.service, &key.1, credentials, &timeout).await?;
        waiting.answered();
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
        connection: Connection<'_>,
    ) -> Result<(), RegistryError> {
        let host = target.resolve_registry();
        if lock(&self.challenges).contains_key(host) {
            return Ok(());
        }
        let waiting = connection.waits.start(host, target.registry());
        let response = connection.limits.request().send(client.get(root.clone())).await?;
        waiting.answered();
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

    /// Reports whether the registry requires authorization, as far as it is known.
    pub(super) fn is_required(&self, target: &Reference) -> bool {
        matches!(lock(&self.challenges).get(target.resolve_registry()), Some(Some(_)))
    }

    /// Returns the source of the credentials that were sent for a repository, or `None` if there were none.
    pub(super) fn credentials_source(&self, target: &Reference) -> Option<String> {
        Some(lock(&self.found).get(&credentials_key(target))?.as_ref()?.source.clone())
    }

    /// Returns the credentials for a repository. Looks them up only once, on another thread, because a credential helper
    /// may be slow.
    async fn credentials(&self, target: &Reference, waits: &Waits) -> Result<Option<Credentials>, RegistryError> {
        let key = credentials_key(target);
        let _lookup = self.lookup.lock().await;
        let known = lock(&self.found).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known.map(|found| found.credentials));
        }
        let waiting = waits.start_lookup(&key.0, target.registry());
        let (sources, reference) = (Arc::clone(&self.sources), target.clone());
        let found = tokio::task::spawn_blocking(move || sources.find(&reference)).await;
        waiting.answered();
        let found = found.map_err(|error| RegistryError::Local(error.into()))??;
        lock(&self.found).insert(key, found.clone());
        Ok(found.map(|found| found.credentials))
    }
}

fn credentials_key(target: &Reference) -> (String, String) {
    (target.resolve_registry().to_owned(), target.repository().to_owned())
}

/// What requests for authorization need.
#[derive(Clone, Copy)]
pub(super) struct Connection<'a> {
    pub plain_http: &'a PlainHttpHosts,
    pub waits: &'a Waits,
    pub limits: Limits,
}

impl Connection<'_> {
    /// Returns the URL of a token server. Fails if a password would be sent to it without encryption.
    fn check_realm(&self, host: &str, challenge: &BearerChallenge) -> Result<Url, RegistryError> {
        let realm = Url::parse(&challenge.realm).map_err(|error| {
            RegistryError::Protocol(format!("sent an invalid token server URL, '{}': {error}", challenge.realm))
        })?;
        if realm.scheme() == "https" {
            return Ok(realm);
        }
        // Credentials in a realm's URL are not sent, but must not be printed either.
        let server = realm.authority().rsplit('@').next().unwrap_or_default().to_owned();
        if realm.scheme() == "http" && !challenge.is_https && self.plain_http.contains(&server) {
            return Ok(realm);
        }
        let failure = Failure::new(
            Class::Registry,
            format!(
                "the token server of {host} does not use HTTPS, which would expose passwords on the network: {}://{server}",
                realm.scheme()
            ),
        );
        let hint = if challenge.is_https {
            "configure the registry to advertise an https:// URL for its token server".to_owned()
        } else if is_loopback(host) {
            format!("if you trust the network, pass `--insecure-registry {server}`")
        } else {
            format!("if you trust the network, pass `--insecure-registry {host},{server}`")
        };
        Err(failure.hint(hint).into())
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
