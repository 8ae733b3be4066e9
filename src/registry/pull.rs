//! Pulls manifests and blobs from a registry (distribution-spec, "Pull").

use std::fs::File;
use std::io::{self, Seek, Write};

use anyhow::Result;
use oci_spec::distribution::Reference;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use reqwest::header::ACCEPT;
use reqwest::{Client, Response};
use serde_json::Value;

use super::error::RegistryError;
use super::explain::not_an_image;
use super::http::{next_chunk, read_body};
use super::{Access, Registry};
use crate::error::{Class, Failure};
use crate::oci::digest::sha256;
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
        self.retry(reference, Access::Pull, || self.get_manifest(&target))
    }

    /// Returns the manifest or index that a reference points to, or `None` if it does not exist.
    pub(crate) fn find_manifest(&self, reference: &str) -> Result<Option<FetchedManifest>> {
        let target = parse_reference(reference)?;
        self.retry(reference, Access::Pull, || async {
            match self.get_manifest(&target).await {
                Ok(manifest) => Ok(Some(manifest)),
                Err(error) if error.status() == Some(404) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    /// Returns the manifest or index that a reference points to, or `None` if it does not exist or has an unknown format.
    pub(crate) fn find_readable_manifest(&self, reference: &str) -> Result<Option<FetchedManifest>> {
        let target = parse_reference(reference)?;
        self.retry(reference, Access::Pull, || async {
            match self.get_manifest(&target).await {
                Ok(manifest) => Ok(Some(manifest)),
                Err(RegistryError::InvalidManifest(_) | RegistryError::Schema1Manifest) => Ok(None),
                Err(error) if error.status() == Some(404) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    async fn get_manifest(&self, target: &Reference) -> Result<FetchedManifest, RegistryError> {
        let url = self.manifest_url(target)?;
        let mut response =
            self.send(target, Access::Pull, |http| http.get(url.clone()).header(ACCEPT, accepted_types())).await?;
        let claimed_digest = digest_header(&response).map(str::to_owned);
        let bytes = read_body(&mut response, JSON_LIMIT).await?;
        for expected in [target.digest(), claimed_digest.as_deref()].into_iter().flatten() {
            check_digest(&bytes, expected)?;
        }
        FetchedManifest::new(bytes)
    }

    /// Returns the digest of the manifest or index that a reference points to, or `None` if it does not exist. Requests
    /// push access, so use this only for repositories that are pushed to.
    pub(crate) fn find_digest(&self, reference: &str) -> Result<Option<String>> {
        let target = parse_reference(reference)?;
        let url = self.manifest_url(&target)?;
        self.retry(reference, Access::Push, || async {
            let head = |http: &Client| http.head(url.clone()).header(ACCEPT, accepted_types());
            let response = match self.send(&target, Access::Push, head).await {
                Ok(response) => response,
                Err(error) if is_missing(&error, Access::Push) => return Ok(None),
                Err(error) => return Err(error),
            };
            if let Some(digest) = target.digest().or(digest_header(&response)) {
                return Ok(Some(digest.to_owned()));
            }
            let get = |http: &Client| http.get(url.clone()).header(ACCEPT, accepted_types());
            let mut response = self.send(&target, Access::Push, get).await?;
            Ok(Some(sha256(&read_body(&mut response, JSON_LIMIT).await?)))
        })
    }

    /// Returns the image config that a manifest refers to.
    pub(crate) fn fetch_config(&self, repository: &str, manifest: &ImageManifest) -> Result<ImageConfiguration> {
        let target = parse_reference(repository)?;
        let digest = manifest.config().digest().as_ref();
        let url = self.blob_url(&target, digest)?;
        self.retry(&format!("{repository}@{digest}"), Access::Pull, || async {
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
        self.retry(&format!("{repository}@{}", blob.digest()), Access::Pull, || async {
            // Discard the data from an earlier attempt.
            let mut file = file;
            file.rewind().and_then(|()| file.set_len(0)).map_err(cannot_write)?;
            let mut response = self.send(&target, Access::Pull, |http| http.get(url.clone())).await?;
            let bar = self.bars.bytes("Pulling", &blob_label(&target, blob), blob.size());
            let mut size = 0;
            while let Some(chunk) = next_chunk(&mut response).await? {
                size += chunk.len() as u64;
                bar.advance(chunk.len());
                file.write_all(&chunk).map_err(cannot_write)?;
                // Don't let an oversized blob fill the disk.
                if size > blob.size() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Reports whether a repository contains a blob. `access` is the access that later requests need, so that all
    /// requests can share one token.
    pub(crate) fn has_blob(&self, repository: &str, digest: &str, access: Access) -> Result<bool> {
        let target = parse_reference(repository)?;
        let url = self.blob_url(&target, digest)?;
        self.retry(repository, access, || async {
            match self.send(&target, access, |http| http.head(url.clone())).await {
                Ok(_) => Ok(true),
                Err(error) if is_missing(&error, access) => Ok(false),
                Err(error) => Err(error),
            }
        })
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
