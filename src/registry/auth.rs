//! What a registry wants to see: Docker's credentials, or a token that its authorization server gives for them
//! (distribution, "Token Authentication Specification"), or for an identity token of `docker login` (the same,
//! "OAuth2 Token Authentication", grant type refresh_token).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use oci_spec::distribution::Reference;
use reqwest::header::{DATE, HeaderMap, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, Url};
use serde::Deserialize;

use super::credentials::{self, Credentials};
use super::error::RegistryError;
use super::http;
use super::idle_timeout::{self, IdleTimeout};
use super::scope::Access;
use crate::threads::lock;

/// What a request shows to a registry.
#[derive(Clone)]
pub enum Authorization {
    Basic(String, String),
    Bearer(String),
}

/// A request with what it shows, if that is anything.
pub fn showing(request: RequestBuilder, shown: Option<&Authorization>) -> RequestBuilder {
    match shown {
        Some(Authorization::Basic(user, password)) => request.basic_auth(user, Some(password)),
        Some(Authorization::Bearer(token)) => request.bearer_auth(token),
        None => request,
    }
}

/// What a registry asks for.
#[derive(Clone)]
enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: String,
        /// Did the registry ask by HTTPS?
        secure: bool,
    },
}

struct Token {
    token: String,
    renew: Instant,
}

/// What is known of the registries of a run.
#[derive(Default)]
pub struct Tokens {
    /// By host.
    credentials: Mutex<BTreeMap<String, Credentials>>,
    /// By host; none where nothing is asked for.
    challenges: Mutex<BTreeMap<String, Option<Challenge>>>,
    /// By host: how far this machine's clock is ahead of its, as its first answer tells.
    ahead: Mutex<BTreeMap<String, TimeDelta>>,
    /// By host and scopes. Locked while one is fetched, so that each is fetched once.
    tokens: tokio::sync::Mutex<BTreeMap<(String, Vec<String>), Token>>,
}

impl Tokens {
    /// What to show to a registry; none where it has not asked, or where there is nothing to show.
    pub async fn known(
        &self,
        client: &Client,
        target: &Reference,
        access: Access<'_>,
    ) -> Result<Option<Authorization>, RegistryError> {
        let host = target.resolve_registry();
        let Some(challenge) = lock(&self.challenges).get(host).cloned().flatten() else { return Ok(None) };
        let credentials = self.credentials(host)?;
        let Challenge::Bearer { realm, service, secure } = challenge else { return Ok(credentials.basic()) };
        let key = (host.to_owned(), access.scopes(target.repository()));
        let mut tokens = self.tokens.lock().await;
        if let Some(token) = tokens.get(&key).filter(|token| Instant::now() < token.renew) {
            return Ok(Some(Authorization::Bearer(token.token.clone())));
        }
        let realm = Url::parse(&realm)
            .map_err(|error| RegistryError::Unexpected(format!("names '{realm}' for its tokens: {error}")))?;
        if secure && realm.scheme() != "https" {
            return Err(RegistryError::Unexpected(format!("wants credentials sent in the clear, to {realm}")));
        }
        let token = fetch(client, realm, &service, &key.1, &credentials).await?;
        let shown = Authorization::Bearer(token.token.clone());
        tokens.insert(key, token);
        Ok(Some(shown))
    }

    /// Asks a registry what it wants to see, once; some hide what is there from those who show nothing.
    pub async fn discover_auth(&self, client: &Client, target: &Reference, root: &Url) -> Result<(), RegistryError> {
        let host = target.resolve_registry();
        if !lock(&self.challenges).contains_key(host) {
            let answer = IdleTimeout::new().answer(client.get(root.clone())).await?;
            if let Some(date) = date(answer.headers()) {
                lock(&self.ahead).insert(host.to_owned(), Utc::now() - date);
            }
            if matches!(answer.status().as_u16(), 429 | 502..=504) {
                return RegistryError::unless_success(answer).await.map(drop);
            }
            lock(&self.challenges).insert(host.to_owned(), challenge(&answer, root));
        }
        Ok(())
    }

    /// How far this machine's clock is ahead of a host's that has been asked, if it tells the time.
    pub fn ahead(&self, host: &str) -> Option<TimeDelta> {
        lock(&self.ahead).get(host).copied()
    }

    /// Were credentials shown to a host?
    pub fn is_logged_in(&self, host: &str) -> bool {
        lock(&self.credentials).get(host).is_some_and(|known| !matches!(known, Credentials::Anonymous))
    }

    /// Takes note of what an answer of 401 asks for. Is it worth another try, if something was `shown` to it?
    pub async fn update_auth(&self, target: &Reference, answer: &Response, root: &Url, shown: bool) -> bool {
        let Some(challenge) = challenge(answer, root) else { return false };
        let host = target.resolve_registry();
        // Credentials are what they are; a token may have ended early.
        let again = !shown || matches!(challenge, Challenge::Bearer { .. });
        self.tokens.lock().await.retain(|(of, _), _| of != host);
        lock(&self.challenges).insert(host.to_owned(), Some(challenge));
        again
    }

    /// Docker's credentials for a host, asked for once: a helper is a program, and may ask the user.
    fn credentials(&self, host: &str) -> Result<Credentials, RegistryError> {
        let mut credentials = lock(&self.credentials);
        if let Some(known) = credentials.get(host) {
            return Ok(known.clone());
        }
        let found = credentials::credentials(host)?;
        credentials.insert(host.to_owned(), found.clone());
        Ok(found)
    }
}

/// When an answer was made (RFC 9110, 6.6.1).
fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?).ok()?.to_utc())
}

/// Is this where the registry is: the same origin, or its host by TLS?
pub fn is_same_server(url: &Url, root: &Url) -> bool {
    let by_tls = url.scheme() == "https" && url.port_or_known_default() == Some(443);
    url.origin() == root.origin() || (url.host_str() == root.host_str() && by_tls)
}

impl Credentials {
    fn basic(&self) -> Option<Authorization> {
        match self {
            Credentials::Basic(user, password) => Some(Authorization::Basic(user.clone(), password.clone())),
            Credentials::Anonymous | Credentials::Identity(_) => None,
        }
    }
}

/// What a registry asks for (RFC 9110, 11.6.1): a token, if it is one of several. Where a redirect led elsewhere, it
/// is not the registry that asks.
fn challenge(answer: &Response, root: &Url) -> Option<Challenge> {
    if !is_same_server(answer.url(), root) {
        return None;
    }
    let headers = answer.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|header| header.to_str().ok());
    let asked: Vec<_> = headers.flat_map(|header| http_auth::parse_challenges(header).unwrap_or_default()).collect();
    let of = |scheme: &str| asked.iter().find(|challenge| challenge.scheme.eq_ignore_ascii_case(scheme));
    if let Some(bearer) = of("bearer") {
        let parameter = |name: &str| {
            let found = bearer.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped()).unwrap_or_default()
        };
        let secure = root.scheme() == "https";
        return Some(Challenge::Bearer { realm: parameter("realm"), service: parameter("service"), secure });
    }
    of("basic").map(|_| Challenge::Basic)
}

/// A server may use either name for the token, or both.
#[derive(Deserialize)]
struct Granted {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// What the specification says where a server does not.
const USUAL_SECONDS: u64 = 60;
const TOKEN_LIMIT: usize = 1 << 20;

async fn fetch(
    client: &Client,
    mut realm: Url,
    service: &str,
    scopes: &[String],
    credentials: &Credentials,
) -> Result<Token, RegistryError> {
    let server = realm.authority().to_owned();
    let request = match credentials {
        Credentials::Identity(identity) => {
            let form = form_urlencoded::Serializer::new(String::new())
                .append_pair("grant_type", "refresh_token")
                .append_pair("client_id", "cargo-multiarch")
                .append_pair("refresh_token", identity)
                .append_pair("service", service)
                .append_pair("scope", &scopes.join(" "))
                .finish();
            // A redirect would take the identity along, to wherever it leads.
            let client = http::http_client(Policy::none())?;
            client.post(realm).header("content-type", "application/x-www-form-urlencoded").body(form)
        }
        Credentials::Anonymous | Credentials::Basic(..) => {
            realm.query_pairs_mut().append_pair("service", service).extend_pairs(scopes.iter().map(|s| ("scope", s)));
            showing(client.get(realm), credentials.basic().as_ref())
        }
    };
    let answer = IdleTimeout::new().answer(request).await?;
    let mut answer = RegistryError::unless_success(answer).await.map_err(|trouble| trouble.of_token_server(&server))?;
    let useless =
        |why: &str| RegistryError::Unexpected(format!("has a token server, {server}, that gives no token: {why}"));
    let granted: Granted = serde_json::from_slice(&idle_timeout::body(&mut answer, TOKEN_LIMIT).await?)
        .map_err(|error| useless(&error.to_string()))?;
    let token = [granted.token, granted.access_token].into_iter().flatten().find(|token| !token.is_empty());
    let token = token.ok_or_else(|| useless("its answer has none"))?;
    let seconds = granted.expires_in.unwrap_or(USUAL_SECONDS).clamp(10, 3600);
    Ok(Token { token, renew: Instant::now() + Duration::from_secs(seconds / 2) })
}
