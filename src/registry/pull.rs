//! Pulls manifests and blobs from a registry (distribution-spec, "Pull").

use std::fs::File;
use std::io::{self, Seek, Write as _};

use anyhow::Result;
use oci_spec::distribution::Reference;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use reqwest::header::{ACCEPT, CONTENT_LENGTH};
use reqwest::{Client, Response};
use serde_json::Value;

use super::error::RegistryError;
use super::explain::not_an_image;
use super::http::{read_blob, read_body};
use super::retry::Patience;
use super::{Access, Registry};
use crate::error::{Class, Failure};
use crate::oci::digest::{HashingWriter, StreamHash, sha256};
use crate::oci::reference::{blob_label, parse_reference};

const INDEX_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const MANIFEST_TYPES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
/// Maximum size in bytes of a manifest or config. Registries must accept at least 4 MiB, and an index with 10,000
/// entries takes up about 3 MiB.
const JSON_LIMIT: usize = 16 << 20;

/// A manifest or index with the exact bytes that the registry returned.
#[derive(Debug, Clone)]
pub(crate) struct FetchedManifest {
    pub digest: String,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl FetchedManifest {
    fn new(bytes: Vec<u8>) -> Result<FetchedManifest, RegistryError> {
        let json: Value = serde_json::from_slice(&bytes).map_err(RegistryError::InvalidManifest)?;
        if json["schemaVersion"] == 1 {
            return Err(RegistryError::Schema1Manifest);
        }
        let media_type = match json["mediaType"].as_str() {
            Some(media_type) => media_type,
            // `mediaType` is optional in OCI manifests (image-spec, manifest.md). Only an index has a `manifests`
            // field.
            None if json.get("manifests").is_some() => INDEX_TYPES[0],
            None => MANIFEST_TYPES[0],
        };
        Ok(FetchedManifest { digest: sha256(&bytes), media_type: media_type.to_owned(), bytes })
    }

    pub(crate) fn is_index(&self) -> bool {
        INDEX_TYPES.contains(&self.media_type.as_str())
    }

    pub(crate) fn index(&self) -> Result<ImageIndex, Failure> {
        serde_json::from_slice(&self.bytes)
            .map_err(|error| not_an_image(&format!("{} is not an image index", self.digest), &error))
    }

    pub(crate) fn manifest(&self) -> Result<ImageManifest, Failure> {
        serde_json::from_slice(&self.bytes)
            .map_err(|error| not_an_image(&format!("{} is not an image manifest", self.digest), &error))
    }
}

impl Registry {
    /// Returns the manifest or index that a reference points to.
    pub(crate) fn fetch_manifest(&self, reference: &str) -> Result<FetchedManifest> {
        let target = parse_reference(reference)?;
        self.retry(reference, Access::Pull, Patience::Normal, || self.get_manifest(&target))
    }

    /// Returns a manifest or index that was just pushed. The registry may take a moment to serve it.
    pub(crate) fn read_back_manifest(&self, reference: &str) -> Result<FetchedManifest> {
        let target = parse_reference(reference)?;
        self.retry(reference, Access::Pull, Patience::AfterPush, || self.get_manifest(&target))
    }

    /// Returns the manifest or index that a reference points to, or `None` if it does not exist.
    pub(crate) fn find_manifest(&self, reference: &str) -> Result<Option<FetchedManifest>> {
        let target = parse_reference(reference)?;
        self.retry(reference, Access::Pull, Patience::Normal, || async {
            match self.get_manifest(&target).await {
                Ok(manifest) => Ok(Some(manifest)),
                Err(error) if error.status() == Some(404) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    /// Returns the manifest or index that a reference points to, or `None` if it does not exist or has an unknown
    /// format. Retries only briefly.
    pub(crate) fn find_readable_manifest(&self, reference: &str) -> Result<Option<FetchedManifest>> {
        let target = parse_reference(reference)?;
        self.retry(reference, Access::Pull, Patience::Brief, || async {
            match self.get_manifest(&target).await {
                Ok(manifest) => Ok(Some(manifest)),
                Err(RegistryError::InvalidManifest(_) | RegistryError::Schema1Manifest) => Ok(None),
                Err(error) if error.status() == Some(404) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    async fn get_manifest(&self, target: &Reference) -> Result<FetchedManifest, RegistryError> {
        let (bytes, claimed_digest) = self.get_manifest_bytes(target, Access::Pull).await?;
        for expected in [target.digest(), claimed_digest.as_deref()].into_iter().flatten() {
            check_digest(&bytes, expected)?;
        }
        FetchedManifest::new(bytes)
    }

    /// Downloads a manifest. Returns its bytes, and its digest according to the registry.
    async fn get_manifest_bytes(
        &self,
        target: &Reference,
        access: Access<'_>,
    ) -> Result<(Vec<u8>, Option<String>), RegistryError> {
        let url = self.manifest_url(target)?;
        let get = |http: &Client| http.get(url.clone()).header(ACCEPT, accepted_types());
        let mut response = self.send(target, access, get).await?;
        let claimed_digest = digest_header(&response).map(str::to_owned);
        Ok((read_body(&mut response, JSON_LIMIT).await?, claimed_digest))
    }

    async fn head_manifest(&self, target: &Reference) -> Result<Response, RegistryError> {
        let url = self.manifest_url(target)?;
        self.send(target, Access::Push, |http| http.head(url.clone()).header(ACCEPT, accepted_types())).await
    }

    /// Returns the digest of the manifest or index that a tag points to, or `None` if the tag does not exist. Requests
    /// push access, so use this only for repositories that are pushed to. Retries only briefly.
    pub(crate) fn find_digest(&self, tag: &str) -> Result<Option<String>> {
        let target = parse_reference(tag)?;
        self.retry(tag, Access::Push, Patience::Brief, || async {
            match self.tag_digest(&target).await {
                Ok(digest) => Ok(Some(digest)),
                Err(error) if is_missing(&error, Access::Push) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    /// Returns the digest that a tag points to after it was pushed. The registry may take a moment to serve it.
    pub(crate) fn read_back_tag(&self, tag: &str) -> Result<String> {
        let target = parse_reference(tag)?;
        self.retry(tag, Access::Push, Patience::AfterPush, || self.tag_digest(&target))
    }

    /// Returns the digest that a tag points to, from the headers if possible.
    async fn tag_digest(&self, target: &Reference) -> Result<String, RegistryError> {
        match self.head_manifest(target).await {
            Ok(response) => {
                if let Some(digest) = digest_header(&response) {
                    return Ok(digest.to_owned());
                }
            }
            Err(error) if error.ends_run() || is_missing(&error, Access::Push) => return Err(error),
            // The registry may not support HEAD.
            Err(_) => {}
        }
        let (bytes, _) = self.get_manifest_bytes(target, Access::Push).await?;
        Ok(sha256(&bytes))
    }

    /// Returns what a registry knows about a manifest or index, which is given with its digest. Retries only briefly.
    pub(crate) fn find_pushed_manifest(&self, reference: &str) -> Result<StoredContent> {
        let target = parse_reference(reference)?;
        let found = self.attempt(reference, Patience::Brief, || self.head_manifest(&target));
        stored_content(found, Access::Push).map_err(|error| self.explain(error, reference, Access::Push))
    }

    /// Returns the image config that a manifest refers to.
    pub(crate) fn fetch_config(&self, repository: &str, manifest: &ImageManifest) -> Result<ImageConfiguration> {
        self.get_config(repository, manifest, Patience::Normal)
    }

    /// Returns the config of an image that was just pushed. The registry may take a moment to serve it.
    pub(crate) fn read_back_config(&self, repository: &str, manifest: &ImageManifest) -> Result<ImageConfiguration> {
        self.get_config(repository, manifest, Patience::AfterPush)
    }

    fn get_config(&self, repository: &str, manifest: &ImageManifest, patience: Patience) -> Result<ImageConfiguration> {
        let target = parse_reference(repository)?;
        let digest = manifest.config().digest().as_ref();
        let url = self.blob_url(&target, digest)?;
        self.retry(&format!("{repository}@{digest}"), Access::Pull, patience, || async {
            let mut response = self.send(&target, Access::Pull, |http| http.get(url.clone())).await?;
            let bytes = read_body(&mut response, JSON_LIMIT).await?;
            check_digest(&bytes, digest)?;
            serde_json::from_slice(&bytes).map_err(RegistryError::InvalidConfig)
        })
    }

    /// Downloads a blob into a file, replacing the file's content. The caller must check the digest: a blob that is
    /// larger than its descriptor claims is downloaded only in part.
    pub(crate) fn download_blob(&self, repository: &str, blob: &Descriptor, file: &File) -> Result<()> {
        let target = parse_reference(repository)?;
        let url = self.blob_url(&target, blob.digest().as_ref())?;
        let cannot_write = |error: io::Error| {
            Failure::new(Class::Other, format!("cannot write blob {} from {repository}: {error}", blob.digest()))
                .hint("check the free disk space with `df -h`, or set `XDG_CACHE_HOME` to another directory")
        };
        self.retry(&format!("{repository}@{}", blob.digest()), Access::Pull, Patience::Normal, || async {
            // Discard the data from an earlier attempt.
            let mut file = file;
            file.rewind().and_then(|()| file.set_len(0)).map_err(cannot_write)?;
            let mut response = self.send(&target, Access::Pull, |http| http.get(url.clone())).await?;
            let bar = self.bars.bytes("Pulling", &blob_label(&target, blob), blob.size());
            let mut size = 0;
            read_blob(&mut response, |chunk| {
                size += chunk.len() as u64;
                bar.advance(chunk.len());
                file.write_all(chunk).map_err(cannot_write)?;
                // Don't let an oversized blob fill the disk.
                Ok(size <= blob.size())
            })
            .await
        })
    }

    /// Downloads a blob that was just pushed, without storing it, and returns the digest and the size of its bytes. A
    /// blob that is larger than its descriptor claims is downloaded only in part.
    pub(crate) fn hash_blob(&self, repository: &str, blob: &Descriptor) -> Result<StreamHash> {
        let target = parse_reference(repository)?;
        let url = self.blob_url(&target, blob.digest().as_ref())?;
        self.retry(&format!("{repository}@{}", blob.digest()), Access::Pull, Patience::AfterPush, || async {
            let mut response = self.send(&target, Access::Pull, |http| http.get(url.clone())).await?;
            let bar = self.bars.bytes("Reading", &blob_label(&target, blob), blob.size());
            let mut hash = HashingWriter::new(io::sink());
            read_blob(&mut response, |chunk| {
                bar.advance(chunk.len());
                hash.write_all(chunk).map_err(|error| RegistryError::Local(error.into()))?;
                Ok(hash.size <= blob.size())
            })
            .await?;
            Ok(hash.stream_hash())
        })
    }

    /// Returns what a registry knows about a blob. `access` is the access that later requests need, so that all
    /// requests can share one token. Retries only briefly.
    pub(crate) fn find_blob(&self, repository: &str, digest: &str, access: Access<'_>) -> Result<StoredContent> {
        let target = parse_reference(repository)?;
        let url = self.blob_url(&target, digest)?;
        let head = || self.send(&target, access, |http| http.head(url.clone()));
        let found = self.attempt(repository, Patience::Brief, head);
        stored_content(found, access).map_err(|error| self.explain(error, repository, access))
    }

    /// Returns what a registry knows about a blob that was just pushed. The registry may take a moment to serve it.
    pub(crate) fn read_back_blob(&self, repository: &str, digest: &str) -> Result<StoredContent> {
        let target = parse_reference(repository)?;
        let url = self.blob_url(&target, digest)?;
        let head = || self.send(&target, Access::Push, |http| http.head(url.clone()));
        let found = self.attempt(repository, Patience::BriefAfterPush, head);
        // The repository exists by now, so no other status means that the blob is missing.
        stored_content(found, Access::Pull).map_err(|error| self.explain(error, repository, Access::Push))
    }
}

/// What a registry knows about a blob or manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredContent {
    Missing,
    Stored {
        /// Size in bytes, if the registry sent it.
        size: Option<u64>,
    },
    /// The registry's response does not show whether it has the content.
    Unknown,
}

impl StoredContent {
    /// Reports whether the content does not have to be pushed again. Content with another size is damaged.
    pub(crate) fn is_complete(self, expected: u64) -> bool {
        matches!(self, StoredContent::Stored { size } if size.is_none_or(|size| size == expected))
    }
}

/// Interprets the response to a HEAD request. Fails only if the run must end.
fn stored_content(found: Result<Response, RegistryError>, access: Access<'_>) -> Result<StoredContent, RegistryError> {
    match found {
        Ok(response) => {
            // reqwest's `content_length` describes the body, which is always empty here.
            let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
            Ok(StoredContent::Stored { size: length.and_then(|length| length.parse().ok()) })
        }
        Err(error) if error.ends_run() => Err(error),
        Err(error) if is_missing(&error, access) => Ok(StoredContent::Missing),
        Err(_) => Ok(StoredContent::Unknown),
    }
}

/// Reports whether an error means that a manifest or blob does not exist.
fn is_missing(error: &RegistryError, access: Access<'_>) -> bool {
    match error.status() {
        Some(404) => true,
        // Some registries respond with 401 or 403 if the repository does not exist yet.
        Some(401 | 403) => matches!(access, Access::Push),
        _ => false,
    }
}

fn accepted_types() -> String {
    [INDEX_TYPES, MANIFEST_TYPES].concat().join(", ")
}

/// Returns the digest in the `Docker-Content-Digest` header, if the registry sent one.
fn digest_header(response: &Response) -> Option<&str> {
    response.headers().get("docker-content-digest")?.to_str().ok()
}

fn check_digest(bytes: &[u8], expected: &str) -> Result<(), RegistryError> {
    let digest = sha256(bytes);
    if digest == expected { Ok(()) } else { Err(RegistryError::DigestMismatch(digest)) }
}
