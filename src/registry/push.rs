//! What is stored in a registry: blobs and manifests (distribution-spec, "Push").

use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use camino::Utf8Path;
use futures_util::{Stream, stream};
use oci_spec::distribution::Reference;
use oci_spec::image::Descriptor;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Client, RequestBuilder, Response, StatusCode, Url};

use super::Registry;
use super::auth::is_same_server;
use super::error::RegistryError;
use super::idle_timeout::IdleTimeout;
use super::scope::Access;
use crate::oci::reference::{name_of, parse_reference};
use crate::threads::lock;
use crate::ui::Bar;

/// Bytes of an upload that are in memory at a time.
const CHUNK: u64 = 64 * 1024;

/// What became of a request for an upload.
enum UploadStart {
    /// The blob was taken over from another repository.
    Mounted,
    UploadSession(UploadSession),
}

/// Where an upload goes.
struct UploadSession {
    url: Url,
    /// Elsewhere than the registry itself: its address is all that is shown there.
    elsewhere: bool,
}

impl Registry {
    /// Asks for an upload into a repository, and cancels it: the registry's own answer to "may I push?".
    pub fn check_push(&self, repository: &str) -> Result<()> {
        let target = parse_reference(repository)?;
        self.retry(repository, Access::Push, || async {
            if let UploadStart::UploadSession(session) = self.begin(&target, None, "").await? {
                self.cancel(&target, &session).await;
            }
            Ok(())
        })
    }

    /// Stores a blob: from a repository that probably has it, else from a file, streamed. Was it sent?
    pub fn push_blob(&self, repository: &str, sources: &[&String], blob: &Descriptor, path: &Utf8Path) -> Result<bool> {
        let target = parse_reference(repository)?;
        let sources = sources.iter().map(|source| parse_reference(source)).collect::<Result<Vec<_>, _>>()?;
        let digest = blob.digest().to_string();
        self.retry(&format!("{repository}@{digest}"), Access::Push, || async {
            let mut session = None;
            for source in &sources {
                match self.begin(&target, Some(source), &digest).await {
                    Ok(UploadStart::Mounted) => return Ok(false),
                    Ok(UploadStart::UploadSession(begun)) => {
                        if let Some(unused) = session.replace(begun) {
                            self.cancel(&target, &unused).await;
                        }
                    }
                    // It may not read there, or the registry does not take over.
                    Err(trouble) if trouble.is_refusal() => {}
                    Err(trouble) => return Err(trouble),
                }
            }
            let session = match session {
                Some(session) => session,
                None => match self.begin(&target, None, &digest).await? {
                    UploadStart::Mounted => return Ok(false),
                    UploadStart::UploadSession(session) => session,
                },
            };
            self.upload(&target, session, blob, path).await.map(|()| true)
        })
    }

    async fn begin(
        &self,
        target: &Reference,
        source: Option<&Reference>,
        digest: &str,
    ) -> Result<UploadStart, RegistryError> {
        let mut url = self.url(target, "blobs/uploads/")?;
        if let Some(source) = source {
            url.query_pairs_mut().append_pair("mount", digest).append_pair("from", source.repository());
        }
        let access = source.map_or(Access::Push, Access::Mount);
        let begin = |http: &Client| http.post(url.clone()).header(CONTENT_LENGTH, 0);
        let answer = self.send(target, access, &IdleTimeout::new(), begin).await?;
        match answer.status() {
            StatusCode::CREATED => Ok(UploadStart::Mounted),
            StatusCode::ACCEPTED => session(&answer, &self.root(target)?).map(UploadStart::UploadSession),
            status => Err(RegistryError::other_status(status)),
        }
    }

    async fn upload(
        &self,
        target: &Reference,
        session: UploadSession,
        blob: &Descriptor,
        path: &Utf8Path,
    ) -> Result<(), RegistryError> {
        let mut url = session.url.clone();
        url.query_pairs_mut().append_pair("digest", blob.digest().as_ref());
        let watch = Arc::new(IdleTimeout::of_upload());
        let unread: Arc<Mutex<Option<io::Error>>> = Arc::default();
        let put = |http: &Client| {
            // Anew for a request that is made again.
            let bar = self.bars.bytes("Pushing", &name_of(target, blob), blob.size());
            let body = Body::wrap_stream(pieces(path, blob.size(), &watch, bar, &unread));
            http.put(url.clone())
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_LENGTH, blob.size())
                .body(body)
        };
        let answer = self.to_session(target, &session, &watch, put).await;
        // The registry only sees a body that breaks off.
        if let Some(error) = lock(&unread).take() {
            return Err(RegistryError::Here(error.into()));
        }
        match answer?.status() {
            StatusCode::CREATED => Ok(()),
            status => Err(RegistryError::other_status(status)),
        }
    }

    /// An upload that is not cancelled expires by itself.
    async fn cancel(&self, target: &Reference, session: &UploadSession) {
        if !session.elsewhere {
            self.tell(target, |http| http.delete(session.url.clone())).await;
        }
    }

    async fn to_session(
        &self,
        target: &Reference,
        session: &UploadSession,
        watch: &IdleTimeout,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        match session.elsewhere {
            true => RegistryError::unless_success(watch.answer(request(&self.client()?)).await?).await,
            false => self.send(target, Access::Push, watch, request).await,
        }
    }

    /// Stores a manifest or index under its digest or a tag.
    pub fn put_manifest(&self, reference: &str, bytes: &[u8], descriptor: &Descriptor) -> Result<()> {
        let target = parse_reference(reference)?;
        let url = self.manifest_url(&target)?;
        let media_type = descriptor.media_type().to_string();
        let put = |http: &Client| http.put(url.clone()).header(CONTENT_TYPE, &media_type).body(bytes.to_vec());
        self.retry(reference, Access::Push, || async {
            self.send(&target, Access::Push, &IdleTimeout::new(), put).await?;
            Ok(())
        })
    }
}

/// Where an answer says that the upload goes: an absolute address, or one on the same server.
fn session(answer: &Response, root: &Url) -> Result<UploadSession, RegistryError> {
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let url = location.and_then(|location| answer.url().join(location).ok());
    let url =
        url.ok_or_else(|| RegistryError::Unexpected("does not say where an upload goes (no Location)".to_owned()))?;
    let elsewhere = !is_same_server(&url, root);
    Ok(UploadSession { url, elsewhere })
}

/// The first `size` bytes of a file, opened anew and read as they are sent.
fn pieces(
    path: &Utf8Path,
    size: u64,
    watch: &Arc<IdleTimeout>,
    bar: Bar,
    unread: &Arc<Mutex<Option<io::Error>>>,
) -> impl Stream<Item = io::Result<bytes::Bytes>> + Send + 'static {
    let (watch, unread) = (watch.clone(), unread.clone());
    let mut file = fs_err::File::open(path).map(|file| file.take(size));
    let mut read = move || -> io::Result<Vec<u8>> {
        let file = file.as_mut().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
        let mut piece = Vec::new();
        file.take(CHUNK).read_to_end(&mut piece)?;
        bar.advance(piece.len());
        // The end is not asked for when all the bytes that were said are sent.
        if file.limit() == 0 {
            watch.sent()
        } else {
            watch.moved()
        }
        Ok(piece)
    };
    let next = move || match read() {
        Ok(piece) => (!piece.is_empty()).then(|| Ok(bytes::Bytes::from(piece))),
        Err(error) => {
            let kind = error.kind();
            lock(&unread).get_or_insert(error);
            Some(Err(kind.into()))
        }
    };
    stream::iter(std::iter::from_fn(next))
}
