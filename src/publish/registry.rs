//! The connection to a registry, over `oci-client`: credentials, tries, deadlines. What is asked is in `calls`.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Result;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::token_cache::{RegistryToken, RegistryTokenType};
use oci_client::{Reference, RegistryOperation};
use reqwest::StatusCode;

use super::answers::{explain, is_transient, unconnected};
use super::auth::{self, Credentials};
use super::token::{self, Access};
use crate::error::{Class, Failure};
use crate::plan::is_loopback;
use crate::threads::lock;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
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
    /// By host.
    credentials: Mutex<BTreeMap<String, Credentials>>,
    /// What identity tokens were exchanged for, by repository and whether it may push.
    access: Mutex<BTreeMap<(String, bool), Access>>,
}

impl Registry {
    /// A client that speaks HTTP to loopback registries among `references`' hosts and to the `insecure` ones, and HTTPS
    /// to all others.
    pub fn new<'a>(references: impl IntoIterator<Item = &'a str>, insecure: &[String]) -> Result<Registry> {
        let hosts = references
            .into_iter()
            .filter_map(|text| Some(text.parse::<Reference>().ok()?.resolve_registry().to_owned()));
        let plain_http = hosts.filter(|host| is_loopback(host)).chain(insecure.iter().cloned()).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        Ok(Registry {
            runtime,
            client: Mutex::default(),
            plain_http,
            credentials: Mutex::default(),
            access: Mutex::default(),
        })
    }

    /// Docker's credentials for a host, asked for once: a helper is a program, and may ask the user.
    fn credentials(&self, host: &str) -> Result<Credentials, Failure> {
        let mut credentials = lock(&self.credentials);
        if let Some(known) = credentials.get(host) {
            return Ok(known.clone());
        }
        let found = auth::credentials(host)?;
        credentials.insert(host.to_owned(), found.clone());
        Ok(found)
    }

    /// The same as `oci-client` takes them: an identity is exchanged for a token that it finds by itself.
    pub(super) fn plain_credentials(&self, host: &str) -> Result<RegistryAuth, Failure> {
        Ok(match self.credentials(host)? {
            Credentials::Known(auth) => auth,
            Credentials::Identity(_) => RegistryAuth::Anonymous,
        })
    }

    fn root(&self, host: &str) -> String {
        format!("{}://{host}", if self.plain_http.contains(host) { "http" } else { "https" })
    }

    /// A client for what `oci-client` has no call for.
    fn http(&self, host: &str) -> Result<reqwest::Client, Failure> {
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
        let http = if is_loopback(host) { http.no_proxy() } else { http };
        http.build().map_err(|error| unconnected(&error))
    }

    /// Sees to it that requests for a repository carry what its registry wants to see, and returns an access token if
    /// the credentials are an identity.
    async fn authorize(
        &self,
        client: &Client,
        reference: &Reference,
        credentials: &Credentials,
        operation: RegistryOperation,
    ) -> Result<Option<String>, OciDistributionError> {
        let host = reference.resolve_registry();
        let identity = match credentials {
            Credentials::Known(auth) => {
                client.store_auth_if_needed(host, auth).await;
                return Ok(None);
            }
            Credentials::Identity(identity) => identity,
        };
        client.store_auth_if_needed(host, &RegistryAuth::Anonymous).await;
        let key = (format!("{host}/{}", reference.repository()), operation == RegistryOperation::Push);
        let known = lock(&self.access).get(&key).cloned();
        if let Some(access) = known.filter(|access| Instant::now() < access.renew) {
            return Ok(Some(access.token));
        }
        let actions = if key.1 { "pull,push" } else { "pull" };
        let http = self.http(host).map_err(|failure| OciDistributionError::GenericError(Some(failure.to_string())))?;
        let Some(access) = token::exchange(&http, &self.root(host), reference, actions, identity).await? else {
            return Ok(None);
        };
        let bearer = RegistryToken::AccessToken { access_token: access.token.clone() };
        client.tokens.insert(reference, operation, RegistryTokenType::Bearer(bearer)).await;
        lock(&self.access).insert(key, access.clone());
        Ok(Some(access.token))
    }

    /// Made when it is needed: a build without a base asks no registry, and may have no CA certificates.
    fn client(&self) -> Result<Client, Failure> {
        let mut made = lock(&self.client);
        if let Some(client) = &*made {
            return Ok(client.clone());
        }
        let client = Client::try_from(ClientConfig {
            protocol: ClientProtocol::HttpsExcept(self.plain_http.iter().cloned().collect()),
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(READ_TIMEOUT),
            // One request for each blob, streamed; not all registries take chunks.
            use_monolithic_push: true,
            user_agent: concat!("cargo-multiarch/", env!("CARGO_PKG_VERSION")),
            http_proxy: variable("HTTP_PROXY"),
            https_proxy: variable("HTTPS_PROXY"),
            // Loopback is behind no proxy, as in Go's net/http and so in Docker.
            no_proxy: Some(format!("{},localhost,127.0.0.0/8,::1", variable("NO_PROXY").unwrap_or_default())),
            ..ClientConfig::default()
        })
        .map_err(|error| unconnected(&error))?;
        Ok(made.insert(client).clone())
    }

    /// Asks for an upload into a repository, and cancels it: the registry's own answer to "may I push?".
    pub fn check_push(&self, repository: &str) -> Result<()> {
        let reference: Reference = parse(repository)?;
        let host = reference.resolve_registry().to_owned();
        let credentials = self.credentials(&host)?;
        let http = self.http(&host)?;
        let url = format!("{}/v2/{}/blobs/uploads/", self.root(&host), reference.repository());
        let client = self.client()?;
        self.retry(repository, || async {
            let token = match &credentials {
                Credentials::Known(auth) => client.auth(&reference, auth, RegistryOperation::Push).await?,
                Credentials::Identity(_) => {
                    self.authorize(&client, &reference, &credentials, RegistryOperation::Push).await?
                }
            };
            let authorize = |request: reqwest::RequestBuilder| match (&token, &credentials) {
                (Some(token), _) => request.bearer_auth(token),
                (None, Credentials::Known(RegistryAuth::Basic(user, password))) => {
                    request.basic_auth(user, Some(password))
                }
                (None, _) => request,
            };
            let response = authorize(http.post(&url)).send().await?;
            let status = response.status();
            if status != StatusCode::ACCEPTED {
                let message = response.text().await.unwrap_or_default();
                return Err(OciDistributionError::ServerError { code: status.as_u16(), url: url.clone(), message });
            }
            let location = response.headers().get("location").and_then(|value| value.to_str().ok());
            let upload = location.and_then(|location| response.url().join(location).ok());
            // The credentials are for this host alone.
            if let Some(upload) = upload.filter(|upload| upload.host_str() == response.url().host_str()) {
                // An upload that is not cancelled expires by itself.
                let _ = authorize(http.delete(upload)).send().await;
            }
            Ok(())
        })
    }

    /// Runs a request for a repository: authorized, interruptible, and again where the registry is only busy.
    pub(super) fn request<T, F>(
        &self,
        reference: &str,
        operation: RegistryOperation,
        request: impl Fn(Client, Reference) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, OciDistributionError>>,
    {
        let parsed = parse(reference)?;
        let credentials = self.credentials(parsed.resolve_registry())?;
        let client = self.client()?;
        self.retry(reference, || async {
            self.authorize(&client, &parsed, &credentials, operation).await?;
            request(client.clone(), parsed.clone()).await
        })
    }

    /// Waits for a request, but not when the user has asked to stop.
    fn wait<T>(&self, request: impl Future<Output = T>) -> Result<T, Failure> {
        self.runtime.block_on(async {
            let mut request = std::pin::pin!(request);
            loop {
                let tick = tokio::time::timeout(Duration::from_millis(100), request.as_mut()).await;
                crate::process::check_interrupt()?;
                if let Ok(result) = tick {
                    return Ok(result);
                }
            }
        })
    }

    /// Runs an idempotent request, again after a back-off where the registry is only busy.
    fn retry<T, F>(&self, reference: &str, request: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, OciDistributionError>>,
    {
        let mut waits = BACK_OFF.iter();
        loop {
            crate::process::check_interrupt()?;
            match self.wait(request())? {
                Ok(result) => return Ok(result),
                Err(error) => match waits.next() {
                    Some(wait) if is_transient(&error) => {
                        let asked = self.retry_after(&error).unwrap_or_default().min(LONGEST_WAIT);
                        self.wait(async { tokio::time::sleep((*wait).max(asked)).await })?;
                    }
                    _ => return Err(explain(&error, reference).into()),
                },
            }
        }
    }

    /// How long a busy registry wants to be left alone (RFC 9110, 10.2.3). The error does not carry the header, so the
    /// same place is asked once more.
    fn retry_after(&self, error: &OciDistributionError) -> Option<Duration> {
        let url = match error {
            OciDistributionError::ServerError { code: 429 | 503, url, .. } => url.clone(),
            OciDistributionError::RegistryError { url, .. } => url.clone(),
            OciDistributionError::RequestError(error) => error.status().and(error.url()).map(ToString::to_string)?,
            _ => return None,
        };
        let host = reqwest::Url::parse(&url).ok()?.authority().to_owned();
        let http = self.http(&host).ok()?;
        let response = self.wait(async { http.head(&url).send().await }).ok()?.ok()?;
        let seconds = response.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds))
    }
}

pub(super) fn parse(reference: &str) -> Result<Reference, Failure> {
    reference.parse().map_err(|error| Failure::new(Class::Config, format!("'{reference}' is not a reference: {error}")))
}

/// A proxy variable, in either spelling.
fn variable(name: &str) -> Option<String> {
    [name.to_owned(), name.to_lowercase()].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
}
