//! Pushes blobs and manifests to a registry (distribution-spec, "Push").

use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use bytes::Bytes;
use camino::Utf8Path;
use futures_util::{Stream, stream};
use oci_spec::distribution::Reference;
use oci_spec::image::Descriptor;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Client, Response, StatusCode, Url};

use super::error::RegistryError;
use super::http::{check_status, is_same_server};
use super::idle_timeout::IdleTimeout;
use super::{Access, Registry};
use crate::oci::reference::{blob_label, parse_reference};
use crate::threads::lock;
use crate::ui::Bar;

/// Number of bytes read from a file at a time during an upload.
const CHUNK_SIZE: u64 = 64 * 1024;

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
}

impl Registry {
    /// Checks that the registry accepts pushes to a repository, by starting an upload and cancelling it.
    pub(crate) fn check_push(&self, repository: &str) -> Result<()> {
        let target = parse_reference(repository)?;
        self.retry(repository, Access::Push, || async {
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
        self.retry(&format!("{repository}@{}", blob.digest()), Access::Push, || async {
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

    /// Tries to mount a blob from each of the `sources` in turn. Returns `None` if the registry rejects all attempts.
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
                // The source is not accessible, or the registry does not support mounting.
                Err(error) if error.is_refusal() => {}
                Err(error) => return Err(error),
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
            StatusCode::ACCEPTED => upload_session(&response, &self.root(target)?).map(UploadStart::Session),
            status => Err(RegistryError::unexpected_status(status)),
        }
    }

    async fn upload(
        &self,
        target: &Reference,
        session: UploadSession,
        blob: &Descriptor,
        path: &Utf8Path,
    ) -> Result<(), RegistryError> {
        let mut url = session.url;
        url.query_pairs_mut().append_pair("digest", blob.digest().as_ref());
        let timeout = Arc::new(IdleTimeout::for_upload());
        let read_error: Arc<Mutex<Option<io::Error>>> = Arc::default();
        let put = |http: &Client| {
            let upload = UploadBody {
                timeout: Arc::clone(&timeout),
                bar: self.bars.bytes("Pushing", &blob_label(target, blob), blob.size()),
                read_error: Arc::clone(&read_error),
            };
            http.put(url.clone())
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_LENGTH, blob.size())
                .body(Body::wrap_stream(upload.stream(path, blob.size())))
        };
        let response = if session.is_external {
            let response = timeout.send(put(&self.client()?)).await;
            match response {
                Ok(response) => check_status(response).await,
                Err(error) => Err(error),
            }
        } else {
            self.send_within(&timeout, None, target, Access::Push, put).await
        };
        // A read error also makes the request fail, but only `read_error` contains the reason.
        if let Some(error) = lock(&read_error).take() {
            return Err(RegistryError::Local(error.into()));
        }
        match response?.status() {
            StatusCode::CREATED => Ok(()),
            status => Err(RegistryError::unexpected_status(status)),
        }
    }

    /// Cancels an upload. Ignores errors, because registries let abandoned uploads expire.
    async fn cancel_upload(&self, target: &Reference, session: &UploadSession) {
        if !session.is_external {
            self.send_best_effort(target, |http| http.delete(session.url.clone())).await;
        }
    }

    /// Pushes a manifest or index by tag or by digest.
    pub(crate) fn put_manifest(&self, reference: &str, bytes: &[u8], descriptor: &Descriptor) -> Result<()> {
        let target = parse_reference(reference)?;
        let url = self.manifest_url(&target)?;
        let media_type = descriptor.media_type().to_string();
        self.retry(reference, Access::Push, || async {
            let put = |http: &Client| http.put(url.clone()).header(CONTENT_TYPE, &media_type).body(bytes.to_vec());
            self.send(&target, Access::Push, put).await?;
            Ok(())
        })
    }
}

/// Reads the upload URL from the `Location` header. The URL in the header may be relative to the request URL.
fn upload_session(response: &Response, root: &Url) -> Result<UploadSession, RegistryError> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let url = location.and_then(|location| response.url().join(location).ok());
    let url = url
        .ok_or_else(|| RegistryError::Protocol("did not send a valid upload URL in the Location header".to_owned()))?;
    let is_external = !is_same_server(&url, root);
    Ok(UploadSession { url, is_external })
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
        file.take(CHUNK_SIZE).read_to_end(&mut chunk)?;
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
