//! Identity tokens of `docker login`: exchanged for an access token at the registry's own authorization server
//! (distribution, "OAuth2 Token Authentication", grant type refresh_token).

use std::time::{Duration, Instant};

use oci_client::Reference;
use oci_client::errors::OciDistributionError;
use serde::Deserialize;

/// An access token, and when to ask for another.
#[derive(Clone)]
pub struct Access {
    pub token: String,
    pub renew: Instant,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<u64>,
}

/// What the specification says where a server does not.
const USUAL_SECONDS: u64 = 60;

/// Asks for a token that may do `actions` (`pull` or `pull,push`) with a repository; none where the registry wants no
/// bearer token. `root` is `https://host`.
pub async fn exchange(
    http: &reqwest::Client,
    root: &str,
    reference: &Reference,
    actions: &str,
    identity: &str,
) -> Result<Option<Access>, OciDistributionError> {
    let response = http.get(format!("{root}/v2/")).send().await?;
    let header = response.headers().get("www-authenticate").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let challenges = http_auth::parse_challenges(header).unwrap_or_default();
    let Some(bearer) = challenges.iter().find(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer")) else {
        return Ok(None);
    };
    let parameter = |name: &str| {
        let found = bearer.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_unescaped()).unwrap_or_default()
    };
    let realm = parameter("realm");
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", "cargo-multiarch"),
        ("refresh_token", identity),
        ("service", &parameter("service")),
        ("scope", &format!("repository:{}:{actions}", reference.repository())),
    ];
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = http.post(&realm).header("content-type", "application/x-www-form-urlencoded").body(form);
    let response = request.send().await?;
    let status = response.status();
    let body = response.bytes().await?;
    if !status.is_success() {
        let message = String::from_utf8_lossy(&body).into_owned();
        return Err(OciDistributionError::ServerError { code: status.as_u16(), url: realm, message });
    }
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|error| OciDistributionError::RegistryTokenDecodeError(error.to_string()))?;
    let seconds = answer.expires_in.unwrap_or(USUAL_SECONDS).clamp(10, USUAL_SECONDS);
    Ok(Some(Access { token: answer.access_token, renew: Instant::now() + Duration::from_secs(seconds / 2) }))
}
