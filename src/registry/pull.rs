//! What is read from a registry: manifests and blobs (distribution-spec, "Pull").

use std::io::{self, Seek, Write};

use anyhow::Result;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use reqwest::Response;
use reqwest::header::ACCEPT;

use super::Registry;
use super::error::{RegistryError, is_it_one};
use super::idle_timeout::{self, IdleTimeout};
use super::scope::Access;
use crate::error::{Class, Failure};
use crate::oci::digest::hash_reader;
use crate::oci::reference::{name_of, parse_reference};

const INDEX_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const ALL_TYPES: [&str; 4] = [
    INDEX_TYPES[0],
    INDEX_TYPES[1],
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// Registries take 4 MiB and more; an index of ten thousand entries has 3.
const JSON_LIMIT: usize = 16 << 20;

/// What a reference leads to.
#[derive(Debug, Clone)]
pub struct FetchedManifest {
    pub digest: String,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl FetchedManifest {
    pub fn is_index(&self) -> bool {
        INDEX_TYPES.contains(&self.media_type.as_str())
    }

    pub fn index(&self) -> Result<ImageIndex, Failure> {
        parse_json(&self.bytes, || format!("{} is not an image index", self.digest))
    }

    pub fn manifest(&self) -> Result<ImageManifest, Failure> {
        parse_json(&self.bytes, || format!("{} is not an image manifest", self.digest))
    }
}

impl Registry {
    /// The manifest or index of a reference.
    pub fn pull(&self, reference: &str) -> Result<FetchedManifest> {
        let served = self.get(reference, |_| false)?;
        served.ok_or_else(|| anyhow::anyhow!("{reference} is not there"))
    }

    /// The same; none where there is nothing.
    pub fn find(&self, reference: &str) -> Result<Option<FetchedManifest>> {
        self.get(reference, |trouble| trouble.status() == Some(404))
    }

    /// What is served; none where the trouble is no more than that there is nothing.
    fn get(&self, reference: &str, is_nothing: impl Fn(&RegistryError) -> bool) -> Result<Option<FetchedManifest>> {
        let target = parse_reference(reference)?;
        let (root, url) = (self.root(&target)?, self.manifest_url(&target)?);
        let got = self.retry(reference, Access::Pull, || async {
            let watch = IdleTimeout::new();
            let sent = self
                .send(&target, Access::Pull, &watch, |http| http.get(url.clone()).header(ACCEPT, ALL_TYPES.join(", ")))
                .await;
            let mut answer = match sent {
                Err(trouble) if is_nothing(&trouble) => return Ok(None),
                sent => sent?,
            };
            let said = said_digest(&answer);
            let wanted: Vec<String> = target.digest().into_iter().chain(said).map(str::to_owned).collect();
            let bytes = idle_timeout::body(&mut answer, JSON_LIMIT).await?;
            let digest = digest_of(&bytes)?;
            match wanted.iter().find(|wanted| **wanted != digest) {
                Some(_) => Err(RegistryError::OtherBytes(digest)),
                None => Ok(Some((bytes, digest))),
            }
        })?;
        let Some((bytes, digest)) = got else { return Ok(None) };
        let json: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(Class::Registry, format!("what is served as {reference} is not a manifest: {error}"))
                .hint(is_it_one(target.registry(), root.as_str()))
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
        Ok(Some(FetchedManifest { digest, media_type, bytes }))
    }

    /// The digest that a reference to something of ours leads to; none where there is nothing.
    pub fn digest(&self, reference: &str) -> Result<Option<String>> {
        let target = parse_reference(reference)?;
        let url = self.manifest_url(&target)?;
        self.retry(reference, Access::Push, || async {
            let accept = ALL_TYPES.join(", ");
            let request = self
                .send(&target, Access::Push, &IdleTimeout::new(), |http| http.head(url.clone()).header(ACCEPT, &accept))
                .await;
            let answer = match request {
                Ok(answer) => answer,
                // Some registries have no other answer for a repository that is not there yet.
                Err(trouble) if matches!(trouble.status(), Some(401 | 403 | 404)) => return Ok(None),
                Err(trouble) => return Err(trouble),
            };
            let said = said_digest(&answer);
            if let Some(digest) = target.digest().or(said) {
                return Ok(Some(digest.to_owned()));
            }
            let mut answer = self
                .send(&target, Access::Push, &IdleTimeout::new(), |http| http.get(url.clone()).header(ACCEPT, &accept))
                .await?;
            Ok(Some(digest_of(&idle_timeout::body(&mut answer, JSON_LIMIT).await?)?))
        })
    }

    /// The config of a manifest in the same repository.
    pub fn config(&self, repository: &str, manifest: &ImageManifest) -> Result<ImageConfiguration> {
        let target = parse_reference(repository)?;
        let digest = manifest.config().digest();
        let url = self.blob_url(&target, digest.as_ref())?;
        let bytes = self.retry(&format!("{repository}@{digest}"), Access::Pull, || async {
            let mut answer =
                self.send(&target, Access::Pull, &IdleTimeout::new(), |http| http.get(url.clone())).await?;
            let bytes = idle_timeout::body(&mut answer, JSON_LIMIT).await?;
            let found = digest_of(&bytes)?;
            if found == digest.to_string() { Ok(bytes) } else { Err(RegistryError::OtherBytes(found)) }
        })?;
        Ok(parse_json(&bytes, || format!("{repository}@{digest} is not the config of a container image"))?)
    }

    /// Streams a blob into a file, from its beginning for every try. What it gets is not compared with the digest,
    /// and of more than the blob should have there is only the beginning.
    pub fn download(&self, repository: &str, blob: &Descriptor, file: &mut std::fs::File) -> Result<()> {
        let target = parse_reference(repository)?;
        let url = self.blob_url(&target, blob.digest().as_ref())?;
        let file = std::cell::RefCell::new(file);
        let unwritten = |error: io::Error| {
            Failure::new(Class::Other, format!("blob {} of {repository} cannot be written: {error}", blob.digest()))
                .hint("is the disk full? `df -h`, and `XDG_CACHE_HOME` names another folder for the cache")
        };
        self.retry(&format!("{repository}@{}", blob.digest()), Access::Pull, || async {
            let emptied = file.borrow_mut().rewind();
            emptied.and_then(|()| file.borrow().set_len(0)).map_err(unwritten)?;
            let mut answer =
                self.send(&target, Access::Pull, &IdleTimeout::new(), |http| http.get(url.clone())).await?;
            let bar = self.bars.bytes("Pulling", &name_of(&target, blob), blob.size());
            let mut size = 0;
            while let Some(piece) = idle_timeout::piece(&mut answer).await? {
                size += piece.len() as u64;
                bar.advance(piece.len());
                file.borrow_mut().write_all(&piece).map_err(unwritten)?;
                // Whoever serves more than was said will not fill the disk.
                if size > blob.size() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Has a repository this blob? Asked with a token for what else is done there.
    pub fn has_blob(&self, repository: &str, digest: &str, access: Access) -> Result<bool> {
        let target = parse_reference(repository)?;
        let url = self.blob_url(&target, digest)?;
        self.retry(repository, access, || async {
            match self.send(&target, access, &IdleTimeout::new(), |http| http.head(url.clone())).await {
                Ok(_) => Ok(true),
                Err(trouble) if trouble.status() == Some(404) => Ok(false),
                // Some registries have no other answer for a repository that is not there yet.
                Err(trouble) if matches!((access, trouble.status()), (Access::Push, Some(401 | 403))) => Ok(false),
                Err(trouble) => Err(trouble),
            }
        })
    }
}

fn parse_json<T: serde::de::DeserializeOwned>(bytes: &[u8], what: impl FnOnce() -> String) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::new(Class::Registry, format!("{}: {error}", what()))
            .hint("registries hold other things than images as well: check the name, or publish it again")
    })
}

/// The digest that a registry says is that of its answer.
fn said_digest(answer: &Response) -> Option<&str> {
    answer.headers().get("docker-content-digest")?.to_str().ok()
}

fn digest_of(bytes: &[u8]) -> Result<String, RegistryError> {
    let (hex, _) = hash_reader(bytes).map_err(|error| RegistryError::Here(error.into()))?;
    Ok(format!("sha256:{hex}"))
}
