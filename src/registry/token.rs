//! Fetches tokens from a registry's token server (distribution, "Token Authentication Specification"). Identity tokens
//! from a login are exchanged as described in "OAuth2 Token Authentication" (grant type `refresh_token`).

use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Url};
use serde::Deserialize;

use super::error::RegistryError;
use super::http::{check_status, http_client, read_body};
use super::idle_timeout::IdleTimeout;
use crate::credentials::Credentials;
use crate::secrets;

const CLIENT_ID: &str = "cargo-multiarch";
/// Lifetime of a token in seconds if the response has no `expires_in` field, as defined in the specification.
const DEFAULT_EXPIRY: u64 = 60;
const RESPONSE_LIMIT: usize = 1 << 20;

/// An access token for a set of scopes.
pub(super) struct Token {
    pub token: String,
    /// When to fetch a new token: after half of this token's lifetime.
    pub renew_at: Instant,
}

/// A token server's response. Some servers send `token`, some send `access_token`, and some send both.
#[derive(Deserialize)]
struct TokenResponse {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// Fetches a token from the server at `realm`.
pub(super) async fn fetch_token(
    client: &Client,
    realm: Url,
    service: &str,
    scopes: &[String],
    credentials: Option<&Credentials>,
    timeout: &IdleTimeout,
) -> Result<Token, RegistryError> {
    let server = realm.authority().to_owned();
    let request = match credentials {
        None => token_request(client, realm, service, scopes),
        Some(Credentials::Password { user, password }) => {
            token_request(client, realm, service, scopes).basic_auth(user, Some(password))
        }
        Some(Credentials::IdentityToken(token)) => refresh_request(realm, service, scopes, token)?,
    };
    let response = timeout.send(request).await?;
    let mut response = check_status(response).await.map_err(|error| error.with_token_server(&server))?;
    let no_token = |problem: &str| RegistryError::InvalidToken { server: server.clone(), problem: problem.to_owned() };
    let body = read_body(&mut response, RESPONSE_LIMIT).await?;
    let response: TokenResponse = serde_json::from_slice(&body).map_err(|error| no_token(&error.to_string()))?;
    let mut tokens = [response.token, response.access_token].into_iter().flatten();
    tokens.clone().for_each(|token| secrets::register(&token));
    let token = tokens.find(|token| !token.is_empty()).ok_or_else(|| no_token("the token is missing"))?;
    let seconds = response.expires_in.unwrap_or(DEFAULT_EXPIRY).clamp(10, 3600);
    Ok(Token { token, renew_at: Instant::now() + Duration::from_secs(seconds / 2) })
}

fn token_request(client: &Client, mut realm: Url, service: &str, scopes: &[String]) -> RequestBuilder {
    realm.query_pairs_mut().append_pair("service", service).extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
    client.get(realm)
}

/// Creates the request that exchanges an identity token for an access token.
fn refresh_request(
    realm: Url,
    service: &str,
    scopes: &[String],
    identity_token: &str,
) -> Result<RequestBuilder, RegistryError> {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "refresh_token")
        .append_pair("client_id", CLIENT_ID)
        .append_pair("refresh_token", identity_token)
        .append_pair("service", service)
        .append_pair("scope", &scopes.join(" "))
        .finish();
    // Following a redirect could send the identity token to another server.
    let client = http_client(Policy::none())?;
    Ok(client.post(realm).header("content-type", "application/x-www-form-urlencoded").body(form))
}
