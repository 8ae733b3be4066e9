//! The registry, over `oci-client`: may I push, what does a base hold, what is served (distribution-spec).

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::Stream;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use reqwest::StatusCode;

use super::auth;
use crate::error::{Class, Failure};
use crate::plan::is_loopback;

const INDEX_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const ALL_TYPES: [&str; 4] = [
    INDEX_TYPES[0],
    INDEX_TYPES[1],
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Waits before the second, third and fourth try of a request that may be repeated.
const BACK_OFF: [Duration; 3] = [Duration::from_millis(200), Duration::from_millis(600), Duration::from_secs(2)];

/// A client for all the registries of a run.
pub struct Registry {
    runtime: tokio::runtime::Runtime,
    client: OnceCell<Client>,
    plain_http: BTreeSet<String>,
    /// By host.
    credentials: RefCell<BTreeMap<String, RegistryAuth>>,
}

/// What a reference leads to.
#[derive(Debug, Clone)]
pub struct Served {
    pub digest: String,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl Served {
    pub fn is_index(&self) -> bool {
        INDEX_TYPES.contains(&self.media_type.as_str())
    }

    pub fn index(&self) -> Result<ImageIndex> {
        serde_json::from_slice(&self.bytes).with_context(|| format!("{} is not an image index", self.digest))
    }

    pub fn manifest(&self) -> Result<ImageManifest> {
        serde_json::from_slice(&self.bytes).with_context(|| format!("{} is not an image manifest", self.digest))
    }
}

impl Registry {
    /// A client that speaks HTTP to loopback registries among `references`' hosts, and HTTPS to all others.
    pub fn new<'a>(references: impl IntoIterator<Item = &'a str>) -> Result<Registry> {
        let hosts = references
            .into_iter()
            .filter_map(|text| Some(text.parse::<Reference>().ok()?.resolve_registry().to_owned()));
        let plain_http: BTreeSet<String> = hosts.filter(|host| is_loopback(host)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Registry { runtime, client: OnceCell::new(), plain_http, credentials: RefCell::default() })
    }

    /// Docker's credentials for a host, asked for once: a helper is a program, and may ask the user.
    fn credentials(&self, host: &str) -> Result<RegistryAuth, Failure> {
        if let Some(known) = self.credentials.borrow().get(host) {
            return Ok(known.clone());
        }
        let found = auth::credentials(host)?;
        self.credentials.borrow_mut().insert(host.to_owned(), found.clone());
        Ok(found)
    }

    /// Made when it is needed: a build without a base asks no registry, and may have no CA certificates.
    fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
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
        Ok(self.client.get_or_init(|| client))
    }

    /// Asks for an upload into a repository, and cancels it: the registry's own answer to "may I push?".
    pub fn check_push(&self, repository: &str) -> Result<()> {
        let reference: Reference = parse(repository)?;
        let host = reference.resolve_registry().to_owned();
        let credentials = self.credentials(&host)?;
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
        let (scheme, http) = if self.plain_http.contains(&host) { ("http", http.no_proxy()) } else { ("https", http) };
        let http = http.build().map_err(|error| unconnected(&error))?;
        let url = format!("{scheme}://{host}/v2/{}/blobs/uploads/", reference.repository());
        let client = self.client()?;
        self.retry(repository, || async {
            let token = client.auth(&reference, &credentials, RegistryOperation::Push).await?;
            let authorize = |request: reqwest::RequestBuilder| match (&token, &credentials) {
                (Some(token), _) => request.bearer_auth(token),
                (None, RegistryAuth::Basic(user, password)) => request.basic_auth(user, Some(password)),
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

    /// The manifest or index of a reference.
    pub fn pull(&self, reference: &str) -> Result<Served> {
        let parsed = parse(reference)?;
        let credentials = self.credentials(parsed.resolve_registry())?;
        let client = self.client()?;
        let (bytes, digest) = self.retry(reference, || client.pull_manifest_raw(&parsed, &credentials, &ALL_TYPES))?;
        let json: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(Class::Registry, format!("what is served as {reference} is not a manifest: {error}"))
                .hint(is_it_one(parsed.resolve_registry()))
        })?;
        // The field is optional in OCI manifests (image-spec, manifest.md): an index is what has `manifests`.
        let guessed = if json.get("manifests").is_some() { INDEX_TYPES[0] } else { ALL_TYPES[2] };
        let media_type = json["mediaType"].as_str().unwrap_or(guessed).to_owned();
        Ok(Served { digest, media_type, bytes: bytes.to_vec() })
    }

    /// The config of a manifest in the same repository.
    pub fn config(&self, repository: &str, manifest: &ImageManifest) -> Result<ImageConfiguration> {
        Ok(serde_json::from_slice(&self.small_blob(repository, manifest.config())?)?)
    }

    fn small_blob(&self, repository: &str, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let reference = parse(repository)?;
        let credentials = self.credentials(reference.resolve_registry())?;
        let wanted = OciDescriptor {
            digest: descriptor.digest().to_string(),
            size: i64::try_from(descriptor.size())?,
            media_type: descriptor.media_type().to_string(),
            ..OciDescriptor::default()
        };
        let client = self.client()?;
        self.retry(repository, || async {
            client.store_auth_if_needed(reference.resolve_registry(), &credentials).await;
            let mut bytes = Vec::new();
            client.pull_blob(&reference, &wanted, &mut bytes).await?;
            Ok(bytes)
        })
    }

    /// Sends a blob, unless the repository has it; `content` begins anew for every try.
    pub fn upload_blob<S>(&self, repository: &str, blob: &Descriptor, content: impl Fn() -> Result<S>) -> Result<()>
    where
        S: Stream<Item = Result<bytes::Bytes, OciDistributionError>> + Send + 'static,
    {
        let reference = parse(repository)?;
        let credentials = self.credentials(reference.resolve_registry())?;
        let digest = blob.digest().to_string();
        let client = self.client()?;
        let missing = self.retry(repository, || async {
            client.store_auth_if_needed(reference.resolve_registry(), &credentials).await;
            Ok(!client.blob_exists(&reference, &digest).await?)
        })?;
        if missing {
            // The file is opened outside of the request: its failure is not the registry's.
            content()?;
            self.retry(repository, || async {
                let content = content().map_err(|error| std::io::Error::other(format!("{error:#}")))?;
                client.push_blob_stream(&reference, content, &digest, Some(blob.size())).await
            })?;
        }
        Ok(())
    }

    /// Stores a manifest or index under its digest.
    pub fn put_manifest(&self, reference: &str, bytes: &[u8], descriptor: &Descriptor) -> Result<()> {
        let parsed = parse(reference)?;
        let credentials = self.credentials(parsed.resolve_registry())?;
        let media_type = reqwest::header::HeaderValue::from_str(descriptor.media_type().as_ref())?;
        let client = self.client()?;
        self.retry(reference, || async {
            client.store_auth_if_needed(parsed.resolve_registry(), &credentials).await;
            client.push_manifest_raw(&parsed, bytes.to_vec(), media_type.clone()).await
        })?;
        Ok(())
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
                    Some(wait) if is_transient(&error) => std::thread::sleep(*wait),
                    _ => return Err(explain(&error, reference).into()),
                },
            }
        }
    }
}

fn parse(reference: &str) -> Result<Reference, Failure> {
    reference.parse().map_err(|error| Failure::new(Class::Config, format!("'{reference}' is not a reference: {error}")))
}

fn status_of(error: &OciDistributionError) -> Option<u16> {
    match error {
        OciDistributionError::ServerError { code, .. } => Some(*code),
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => Some(401),
        OciDistributionError::ImageManifestNotFoundError(_) => Some(404),
        OciDistributionError::RequestError(error) => error.status().map(|status| status.as_u16()),
        OciDistributionError::RegistryError { envelope, .. } => envelope.errors.iter().find_map(|error| {
            use oci_client::errors::OciErrorCode::{
                Denied, ManifestUnknown, NameUnknown, Toomanyrequests, Unauthorized,
            };
            match error.code {
                Unauthorized => Some(401),
                Denied => Some(403),
                ManifestUnknown | NameUnknown => Some(404),
                Toomanyrequests => Some(429),
                _ => None,
            }
        }),
        _ => None,
    }
}

fn is_transient(error: &OciDistributionError) -> bool {
    match status_of(error) {
        Some(code) => code == 429 || code >= 500,
        None => {
            matches!(error, OciDistributionError::RequestError(error) if error.is_body() || (error.is_request() && !error.is_connect() && !error.is_timeout()))
        }
    }
}

fn unconnected(error: &dyn std::error::Error) -> Failure {
    Failure::new(Class::Registry, format!("no registry can be asked from here: {}", innermost(error)))
        .hint("install the CA certificates: `apt-get install ca-certificates`")
}

/// What a registry's answer means, and what to do.
fn explain(error: &OciDistributionError, reference: &str) -> Failure {
    let host = reference.parse::<Reference>().map_or_else(|_| reference.to_owned(), |r| r.registry().to_owned());
    let failure = |what: String| Failure::new(Class::Registry, what);
    if let OciDistributionError::RequestError(error) = error {
        if error.is_timeout() {
            return failure(format!("registry {host} does not answer")).hint("check the network, or try again");
        }
        if error.is_connect() {
            // A registry may send its clients elsewhere, such as for their token.
            let asked = error.url().map(|url| url.authority()).filter(|asked| *asked != host);
            let at = asked.map(|asked| format!(" at {asked}")).unwrap_or_default();
            return failure(format!("registry {host} cannot be reached{at}: {}", innermost(error)))
                .hint(format!("is the name right, and does it run? `{}`", curl(&host)));
        }
    }
    if let OciDistributionError::DigestError(error) = error {
        let words = error.to_string().to_lowercase();
        return Failure::new(
            Class::Verify,
            format!("registry {host} serves other bytes than those of {reference}: {words}"),
        )
        .hint("what is stored there is damaged, or a proxy changes it: publish again, and tell whoever runs it");
    }
    match status_of(error) {
        Some(401) => failure(format!("registry {host} wants valid credentials for {reference} (401 Unauthorized)"))
            .hint(format!("log in: `docker login {host}`")),
        Some(403) => failure(format!("registry {host} refuses {reference} (403 Forbidden)"))
            .hint("the account you are logged in with may not push there: check the name and its permissions"),
        Some(404) => failure(format!("{reference} does not exist (404 Not Found)"))
            .hint("check the name and the tag; some registries want a repository to be created first"),
        Some(429) => failure(format!("registry {host} wants fewer requests (429 Too Many Requests)"))
            .hint("wait a while; logged-in accounts may ask more often"),
        Some(code) if code < 500 => {
            failure(format!("{host} does not answer {reference} as a registry does (HTTP {code})"))
                .hint(is_it_one(&host))
        }
        Some(code) => failure(format!("registry {host} failed at {reference} (HTTP {code})")).hint("try again later"),
        None => failure(format!("registry {host}: {error}")).hint(is_it_one(&host)),
    }
}

fn is_it_one(host: &str) -> String {
    format!("is {host} a container registry? `{}`", curl(host))
}

fn curl(host: &str) -> String {
    format!("curl -i {}://{host}/v2/", if is_loopback(host) { "http" } else { "https" })
}

/// A proxy variable, in either spelling.
fn variable(name: &str) -> Option<String> {
    [name.to_owned(), name.to_lowercase()].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
}

/// The last cause: the operating system's own words.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_explained() {
        let server = |code| OciDistributionError::ServerError { code, url: "u".into(), message: "m".into() };
        for (code, words, transient) in [
            (401, "wants valid credentials", false),
            (403, "refuses", false),
            (404, "does not exist", false),
            (503, "HTTP 503", true),
            (429, "fewer requests", true),
        ] {
            let error = server(code);
            assert!(explain(&error, "r.example/a/b").to_string().contains(words), "{code}");
            assert_eq!(is_transient(&error), transient, "{code}");
        }
        assert_eq!(explain(&server(401), "r.example/a/b").hints(), ["log in: `docker login r.example`"]);
    }
}
