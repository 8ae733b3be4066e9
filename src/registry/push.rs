//! Pushes blobs and manifests to a registry (distribution-spec, "Push").

use std::io::{self, Read};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use camino::Utf8Path;
use futures_util::{Stream, stream};
use oci_spec::distribution::Reference;
use oci_spec::image::Descriptor;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, LOCATION};
use reqwest::{Body, Client, RequestBuilder, Response, StatusCode, Url};

use super::error::RegistryError;
use super::http::{check_status, is_same_server};
use super::idle_timeout::IdleTimeout;
use super::retry::Patience;
use super::{Access, Registry};
use crate::oci::reference::{blob_label, parse_reference};
use crate::threads::lock;
use crate::ui::Bar;

/// Number of bytes read from a file at a time during an upload. Small, so that a slow connection shows progress.
const READ_SIZE: u64 = 16 * 1024;

/// The header with the minimum size of chunks (distribution-spec, "Pushing a blob in chunks").
const MIN_CHUNK: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// How a blob was added to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PushedBlob {
    Uploaded,
    /// Mounted from another repository of the same registry.
    Mounted,
}

/// The registry's response to the start of an upload.
enum UploadStart {
    /// The registry mounted the blob from another repository, so nothing needs to be uploaded.
    Mounted,
    Session(UploadSession),
}

/// The destination of an upload.
struct UploadSession {
    url: Url,
    /// Whether the URL points to another server, which must not receive the registry's credentials.
    is_external: bool,
    /// Minimum size of all chunks but the last, in bytes.
    min_chunk: Option<u64>,
}

impl Registry {
    /// Checks that the registry accepts pushes to a repository, by starting an upload and cancelling it.
    pub(crate) fn check_push(&self, repository: &str) -> Result<()> {
        let target = parse_reference(repository)?;
        self.retry(repository, Access::Push, Patience::Brief, || async {
            if let UploadStart::Session(session) = self.start_upload(&target).await? {
                self.cancel_upload(&target, &session).await;
            }
            Ok(())
        })
    }

    /// Pushes a blob: mounts it from one of `mount_sources` if possible, and uploads the file at `path` otherwise.
    pub(crate) fn push_blob(
        &self,
        repository: &str,
        mount_sources: &[String],
        blob: &Descriptor,
        path: &Utf8Path,
    ) -> Result<PushedBlob> {
        let target = parse_reference(repository)?;
        let mount_sources =
            mount_sources.iter().map(|source| parse_reference(source)).collect::<Result<Vec<_>, _>>()?;
        self.retry(&format!("{repository}@{}", blob.digest()), Access::Push, Patience::Upload, || async {
            let start = match self.mount_blob(&target, &mount_sources, blob).await? {
                Some(start) => start,
                None => self.start_upload(&target).await?,
            };
            match start {
                UploadStart::Mounted => Ok(PushedBlob::Mounted),
                UploadStart::Session(session) => {
                    self.upload(&target, session, blob, path).await?;
                    Ok(PushedBlob::Uploaded)
                }
            }
        })
    }

    /// Tries to mount a blob from each of the `sources` in turn. Returns `None` if all attempts fail.
    async fn mount_blob(
        &self,
        target: &Reference,
        sources: &[Reference],
        blob: &Descriptor,
    ) -> Result<Option<UploadStart>, RegistryError> {
        let mut session: Option<UploadSession> = None;
        for source in sources {
            let mut url = self.upload_url(target)?;
            url.query_pairs_mut().append_pair("mount", blob.digest().as_ref()).append_pair("from", source.repository());
            match self.request_upload(target, Access::Mount(source), url).await {
                Ok(UploadStart::Mounted) => return Ok(Some(UploadStart::Mounted)),
                Ok(UploadStart::Session(started)) => {
                    if let Some(unused) = session.replace(started) {
                        self.cancel_upload(target, &unused).await;
                    }
                }
                Err(error) if error.ends_run() => return Err(error),
                // The source is not accessible, or the registry does not support mounting or fails to.
                Err(_) => {}
            }
        }
        Ok(session.map(UploadStart::Session))
    }

    async fn start_upload(&self, target: &Reference) -> Result<UploadStart, RegistryError> {
        self.request_upload(target, Access::Push, self.upload_url(target)?).await
    }

    async fn request_upload(
        &self,
        target: &Reference,
        access: Access<'_>,
        url: Url,
    ) -> Result<UploadStart, RegistryError> {
        let response = self.send(target, access, |http| http.post(url.clone()).header(CONTENT_LENGTH, 0)).await?;
        match response.status() {
            StatusCode::CREATED => Ok(UploadStart::Mounted),
            StatusCode::ACCEPTED => UploadSession::new(&response, &self.root(target)?).map(UploadStart::Session),
            status => Err(RegistryError::unexpected_status(status)),
        }
    }

    /// Uploads a blob with one request, or in chunks if the registry does not accept that.
    async fn upload(
        &self,
        target: &Reference,
        session: UploadSession,
        blob: &Descriptor,
        path: &Utf8Path,
    ) -> Result<(), RegistryError> {
        match self.upload_whole(target, &session, blob, path).await {
            Err(error) if may_accept_chunks(&error) => {}
            result => return result,
        }
        // The state of the first session is unknown.
        self.cancel_upload(target, &session).await;
        match self.start_upload(target).await? {
            UploadStart::Mounted => Ok(()),
            UploadStart::Session(session) => self.upload_chunks(target, session, blob, path).await,
        }
    }

    /// Uploads a blob with one request (distribution-spec, "POST then PUT").
    async fn upload_whole(
        &self,
        target: &Reference,
        session: &UploadSession,
        blob: &Descriptor,
        path: &Utf8Path,
    ) -> Result<(), RegistryError> {
        let url = session.finishing_url(blob);
        let timeout = Arc::new(self.limits.upload(blob.size()));
        let read_error: Arc<Mutex<Option<io::Error>>> = Arc::default();
        let put = |http: &Client| {
            let upload = UploadBody {
                timeout: Arc::clone(&timeout),
                bar: self.bars.bytes("Pushing", &blob_label(target, blob), blob.size()),
                read_error: Arc::clone(&read_error),
            };
            http.put(url.clone())
                .header(CONTENT_TYPE, OCTET_STREAM)
                .header(CONTENT_LENGTH, blob.size())
                .body(Body::wrap_stream(upload.stream(path, blob.size())))
        };
        let response = self.send_upload(target, session, &timeout, put).await;
        // A read error also makes the request fail, but only `read_error` contains the reason.
        if let Some(error) = lock(&read_error).take() {
            return Err(RegistryError::Local(error.into()));
        }
        // The specification requires status 201. Whether the blob was stored is checked later.
        response.map(drop)
    }

    /// Uploads a blob with one request for each chunk (distribution-spec, "Pushing a blob in chunks").
    async fn upload_chunks(
        &self,
        target: &Reference,
        mut session: UploadSession,
        blob: &Descriptor,
        path: &Utf8Path,
    ) -> Result<(), RegistryError> {
        let root = self.root(target)?;
        let mut file = fs_err::File::open(path).map_err(local)?;
        let bar = self.bars.bytes("Pushing", &blob_label(target, blob), blob.size());
        let mut chunk_size = ChunkSize::new(session.min_chunk);
        let mut sent = 0;
        while sent < blob.size() {
            let mut chunk = Vec::new();
            file.by_ref().take(chunk_size.bytes.min(blob.size() - sent)).read_to_end(&mut chunk).map_err(local)?;
            if chunk.is_empty() {
                let problem = format!("{path} has only {sent} bytes, expected {}", blob.size());
                return Err(local(io::Error::new(io::ErrorKind::UnexpectedEof, problem)));
            }
            let end = sent + chunk.len() as u64;
            let chunk = Bytes::from(chunk);
            let patch = |http: &Client| {
                http.patch(session.url.clone())
                    .header(CONTENT_TYPE, OCTET_STREAM)
                    .header(CONTENT_RANGE, format!("{sent}-{}", end - 1))
                    .body(chunk.clone())
            };
            let started = Instant::now();
            let response = self.send_upload(target, &session, &self.limits.upload(0), patch).await?;
            bar.advance(chunk.len());
            chunk_size.adapt(started.elapsed());
            // The response contains the URL for the next chunk.
            session = UploadSession::new(&response, &root)?;
            sent = end;
        }
        let url = session.finishing_url(blob);
        let put = |http: &Client| http.put(url.clone()).header(CONTENT_LENGTH, 0);
        self.send_upload(target, &session, &self.limits.upload(blob.size()), put).await.map(drop)
    }

    /// Sends a request of an upload, with credentials if the upload does not go to another server.
    async fn send_upload(
        &self,
        target: &Reference,
        session: &UploadSession,
        timeout: &IdleTimeout,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        if session.is_external {
            return check_status(timeout.send(request(&self.client()?)).await?).await;
        }
        self.send_within(timeout, None, target, Access::Push, request).await
    }

    /// Cancels an upload. Ignores errors, because registries let abandoned uploads expire.
    async fn cancel_upload(&self, target: &Reference, session: &UploadSession) {
        if !session.is_external {
            self.send_best_effort(target, |http| http.delete(session.url.clone())).await;
        }
    }

    /// Pushes a manifest or index by digest.
    pub(crate) fn put_manifest(&self, reference: &str, bytes: &[u8], descriptor: &Descriptor) -> Result<()> {
        self.put(reference, bytes, descriptor, Patience::AfterPush)
    }

    /// Pushes a manifest or index by tag. Retries for longer than other requests, because other tags may have moved.
    pub(crate) fn put_tag(&self, reference: &str, bytes: &[u8], descriptor: &Descriptor) -> Result<()> {
        self.put(reference, bytes, descriptor, Patience::Tag)
    }

    fn put(&self, reference: &str, bytes: &[u8], descriptor: &Descriptor, patience: Patience) -> Result<()> {
        let target = parse_reference(reference)?;
        let url = self.manifest_url(&target)?;
        let media_type = descriptor.media_type().to_string();
        self.retry(reference, Access::Push, patience, || async {
            let put = |http: &Client| http.put(url.clone()).header(CONTENT_TYPE, &media_type).body(bytes.to_vec());
            self.send(&target, Access::Push, put).await?;
            Ok(())
        })
    }
}

const OCTET_STREAM: &str = "application/octet-stream";

fn local(error: io::Error) -> RegistryError {
    RegistryError::Local(error.into())
}

/// Reports whether an upload that failed as a single request may succeed in chunks: the registry does not support
/// single requests, a proxy limits their size, or the connection is so slow that the upload seems to have stalled.
fn may_accept_chunks(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Stalled) || matches!(error.status(), Some(400 | 405 | 411 | 413 | 415 | 416 | 501))
}

impl UploadSession {
    /// Reads the upload URL from the `Location` header. The URL in the header may be relative to the request URL.
    fn new(response: &Response, root: &Url) -> Result<UploadSession, RegistryError> {
        let header = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
        let url = header(LOCATION).and_then(|location| response.url().join(location).ok()).ok_or_else(|| {
            RegistryError::Protocol("did not send a valid upload URL in the Location header".to_owned())
        })?;
        let min_chunk = header(MIN_CHUNK).and_then(|size| size.parse().ok());
        Ok(UploadSession { is_external: !is_same_server(&url, root), url, min_chunk })
    }

    /// Returns the URL of the request that ends the upload.
    fn finishing_url(&self, blob: &Descriptor) -> Url {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("digest", blob.digest().as_ref());
        url
    }
}

/// The size of the next chunk of an upload. Starts small, so that chunks get through slow connections and proxies that
/// limit the size of requests, and grows as long as chunks upload quickly.
struct ChunkSize {
    bytes: u64,
}

impl ChunkSize {
    const FIRST: u64 = 32 * 1024;
    /// The default limit of nginx, which often runs in front of registries.
    const MAX: u64 = 1 << 20;

    /// Creates the size of the first chunk. `min` is the minimum that the registry requires.
    fn new(min: Option<u64>) -> ChunkSize {
        ChunkSize { bytes: min.unwrap_or_default().max(ChunkSize::FIRST) }
    }

    /// Adapts the size to the time that the last chunk took.
    fn adapt(&mut self, elapsed: Duration) {
        if elapsed < Duration::from_secs(2) && self.bytes < ChunkSize::MAX {
            self.bytes = (self.bytes * 2).min(ChunkSize::MAX);
        }
    }
}

/// The body of an upload. A new one is created each time the request is sent.
struct UploadBody {
    timeout: Arc<IdleTimeout>,
    bar: Bar,
    /// The error that occurred while reading the file. It is kept here because the HTTP client does not return errors
    /// from the request body.
    read_error: Arc<Mutex<Option<io::Error>>>,
}

impl UploadBody {
    /// Streams the first `size` bytes of a file, reading each chunk when it is sent.
    fn stream(self, path: &Utf8Path, size: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let mut file = fs_err::File::open(path).map(|file| file.take(size));
        let chunks = std::iter::from_fn(move || match self.read_chunk(&mut file) {
            Ok(chunk) if chunk.is_empty() => None,
            Ok(chunk) => Some(Ok(Bytes::from(chunk))),
            Err(error) => {
                let kind = error.kind();
                lock(&self.read_error).get_or_insert(error);
                Some(Err(kind.into()))
            }
        });
        stream::iter(chunks)
    }

    fn read_chunk(&self, file: &mut io::Result<io::Take<fs_err::File>>) -> io::Result<Vec<u8>> {
        let file = file.as_mut().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
        let mut chunk = Vec::new();
        file.take(READ_SIZE).read_to_end(&mut chunk)?;
        self.bar.advance(chunk.len());
        // Detect the last chunk here, because the client stops polling after Content-Length bytes.
        if file.limit() == 0 {
            self.timeout.upload_sent();
        } else {
            self.timeout.restart();
        }
        Ok(chunk)
    }
}
