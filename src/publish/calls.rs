//! What is asked of a registry: manifests and blobs, to and fro (distribution-spec).

use std::cell::RefCell;
use std::io::{self, Read, Seek, Write};

use anyhow::{Context, Result};
use camino::Utf8Path;
use futures_util::{Stream, StreamExt, stream};
use oci_client::RegistryOperation;
use oci_client::errors::{DigestError, OciDistributionError};
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};

use super::answers::{is_it_one, status_of};
use super::registry::{Registry, parse};
use crate::error::{Class, Failure};

const INDEX_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const ALL_TYPES: [&str; 4] = [
    INDEX_TYPES[0],
    INDEX_TYPES[1],
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// Bytes of an upload that are in memory at a time.
const CHUNK: u64 = 256 * 1024;

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
    /// The manifest or index of a reference.
    pub fn pull(&self, reference: &str) -> Result<Served> {
        let host = parse(reference)?.resolve_registry().to_owned();
        let credentials = self.plain_credentials(&host)?;
        let (bytes, digest) = self.request(reference, RegistryOperation::Pull, |client, reference| {
            let credentials = &credentials;
            async move { client.pull_manifest_raw(&reference, credentials, &ALL_TYPES).await }
        })?;
        let json: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(Class::Registry, format!("what is served as {reference} is not a manifest: {error}"))
                .hint(is_it_one(&host))
        })?;
        if json["schemaVersion"] == 1 {
            return Err(Failure::new(
                Class::Registry,
                format!("{reference} is a manifest of Docker's schema 1, which has no platforms"),
            )
            .hint("it is from before 2017: take a newer image")
            .into());
        }
        // The field is optional in OCI manifests (image-spec, manifest.md): an index is what has `manifests`.
        let guessed = if json.get("manifests").is_some() { INDEX_TYPES[0] } else { ALL_TYPES[2] };
        let media_type = json["mediaType"].as_str().unwrap_or(guessed).to_owned();
        Ok(Served { digest, media_type, bytes: bytes.to_vec() })
    }

    /// The digest that a reference leads to; none where there is nothing.
    pub fn digest(&self, reference: &str) -> Result<Option<String>> {
        self.request(reference, RegistryOperation::Push, |client, reference| {
            async move {
                let served = client.fetch_manifest_digest(&reference, &RegistryAuth::Anonymous).await;
                match served {
                    Ok(digest) => Ok(Some(digest)),
                    // Some registries have no other answer for a repository that is not there yet.
                    Err(error) if matches!(status_of(&error), Some(401 | 403 | 404)) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        })
    }

    /// The config of a manifest in the same repository.
    pub fn config(&self, repository: &str, manifest: &ImageManifest) -> Result<ImageConfiguration> {
        let mut bytes = Vec::new();
        self.pull_blob(
            repository,
            manifest.config(),
            |chunk| {
                bytes.extend_from_slice(chunk);
                Ok(())
            },
            || Ok(()),
        )?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Streams a blob into a file, from its beginning for every try.
    pub fn download(&self, repository: &str, blob: &Descriptor, file: &mut std::fs::File) -> Result<()> {
        let file = RefCell::new(file);
        self.pull_blob(
            repository,
            blob,
            |chunk| file.borrow_mut().write_all(chunk),
            || {
                let mut file = file.borrow_mut();
                file.rewind()?;
                file.set_len(0)
            },
        )
    }

    fn pull_blob(
        &self,
        repository: &str,
        blob: &Descriptor,
        write: impl FnMut(&[u8]) -> io::Result<()>,
        begin: impl Fn() -> io::Result<()>,
    ) -> Result<()> {
        let wanted = OciDescriptor {
            digest: blob.digest().to_string(),
            size: i64::try_from(blob.size())?,
            media_type: blob.media_type().to_string(),
            ..OciDescriptor::default()
        };
        let write = RefCell::new(write);
        let written = self.request(repository, RegistryOperation::Pull, |client, reference| {
            let (wanted, write, begin) = (&wanted, &write, &begin);
            async move {
                if let Err(error) = begin() {
                    return Ok(Err(error));
                }
                let mut chunks = client.pull_blob_stream(&reference, wanted).await?.stream;
                let mut size = 0;
                while let Some(chunk) = chunks.next().await {
                    let chunk = chunk.map_err(|error| match error.downcast::<DigestError>() {
                        Ok(error) => OciDistributionError::DigestError(error),
                        Err(error) => OciDistributionError::IoError(error),
                    })?;
                    size += chunk.len() as u64;
                    // Whoever serves more than was said will not fill the disk.
                    if size > blob.size() {
                        break;
                    }
                    if let Err(error) = (write.borrow_mut())(&chunk) {
                        return Ok(Err(error));
                    }
                }
                Ok(Ok(()))
            }
        })?;
        written.map_err(|error| {
            Failure::new(Class::Other, format!("blob {} of {repository} cannot be written: {error}", blob.digest()))
                .hint("is the disk full? `df -h`, and `XDG_CACHE_HOME` names another folder for the cache")
                .into()
        })
    }

    /// Has a repository this blob?
    pub fn has_blob(&self, repository: &str, digest: &str) -> Result<bool> {
        self.request(repository, RegistryOperation::Pull, |client, reference| async move {
            match client.blob_exists(&reference, digest).await {
                Err(error) if matches!(status_of(&error), Some(401 | 403)) => Ok(false),
                answer => answer,
            }
        })
    }

    /// Asks a registry to take a blob over from another of its repositories; false where it would not.
    pub fn mount_blob(&self, repository: &str, from: &str, digest: &str) -> Result<bool> {
        let source = parse(from)?;
        self.request(repository, RegistryOperation::Push, |client, reference| {
            let source = &source;
            async move { Ok(client.mount_blob(&reference, source, digest).await.is_ok()) }
        })
    }

    /// Sends a blob from a file, streamed; from its beginning for every try.
    pub fn push_blob(&self, repository: &str, blob: &Descriptor, path: &Utf8Path) -> Result<()> {
        // The file is opened outside of the request: its failure is not the registry's.
        fs_err::File::open(path)?;
        let digest = blob.digest().to_string();
        self.request(repository, RegistryOperation::Push, |client, reference| {
            let digest = &digest;
            async move { client.push_blob_stream(&reference, chunks(path)?, digest, Some(blob.size())).await }
        })?;
        Ok(())
    }

    /// Stores a manifest or index under its digest or a tag.
    pub fn put_manifest(&self, reference: &str, bytes: &[u8], descriptor: &Descriptor) -> Result<()> {
        let media_type = reqwest::header::HeaderValue::from_str(descriptor.media_type().as_ref())?;
        self.request(reference, RegistryOperation::Push, |client, reference| {
            let media_type = media_type.clone();
            async move { client.push_manifest_raw(&reference, bytes.to_vec(), media_type).await }
        })?;
        Ok(())
    }
}

/// The bytes of a file, read as they are sent.
fn chunks(
    path: &Utf8Path,
) -> io::Result<impl Stream<Item = Result<bytes::Bytes, OciDistributionError>> + Send + 'static> {
    let mut file = fs_err::File::open(path)?;
    let next = move || {
        let mut chunk = Vec::new();
        match Read::by_ref(&mut file).take(CHUNK).read_to_end(&mut chunk) {
            Ok(0) => None,
            Ok(_) => Some(Ok(bytes::Bytes::from(chunk))),
            Err(error) => Some(Err(error.into())),
        }
    };
    Ok(stream::iter(std::iter::from_fn(next)))
}
