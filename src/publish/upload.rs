//! Uploads blobs while the build is still running, then manifests by digest (distribution-spec, "Pushing manifests").

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use anyhow::Result;
use oci_spec::image::{Descriptor, ImageManifest, MediaType};

use crate::error::Failure;
use crate::oci::descriptor::ImageBlob;
use crate::oci::layout::{Layout, blob_path};
use crate::oci::reference::{registry_host, repository_name};
use crate::plan::Image;
use crate::registry::{Access, PushedBlob, Registry};
use crate::threads::{self, AT_A_TIME, CancelToken, Cancelled, lock, next, parallel};
use crate::timings::{Phase, Timings};

/// Uploads blobs, several at a time, until the channel closes. Skips blobs that were already uploaded to a repository.
/// The first error cancels the other uploads. Returns the blobs that were missing before.
pub(crate) fn upload_blobs(
    images: &[Image],
    blobs: mpsc::Receiver<ImageBlob>,
    registry: &Registry,
    timings: &Timings,
    cancel: &CancelToken,
) -> Result<NewBlobs> {
    let uploader = Uploader::new(images, registry, timings)?;
    let queue = Mutex::new(blobs);
    let work = || -> Result<()> {
        while let Some(blob) = next(&queue) {
            cancel.check()?;
            uploader.push(&blob)?;
        }
        Ok(())
    };
    threads::scope(cancel, |stages| {
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| stages.spawn(work)).collect();
        for worker in workers {
            worker.join()?;
        }
        Ok(())
    })?;
    Ok(NewBlobs(uploader.new.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// The blobs that repositories did not contain before the run.
#[derive(Debug, Default)]
pub(crate) struct NewBlobs(BTreeSet<BlobInRepository>);

impl NewBlobs {
    /// Reports whether a manifest refers to a blob that the repository did not contain, so that it cannot have contained
    /// the manifest either.
    fn include_any_of(&self, manifest: &ImageManifest, repository: &str) -> bool {
        let mut blobs = manifest.layers().iter().chain([manifest.config()]);
        blobs.any(|blob| self.0.contains(&BlobInRepository::new(repository, blob)))
    }
}

/// Queues all blobs of a finished layout. Most layers have already been queued, and the uploader skips those.
pub(crate) fn queue_layout(image: usize, layout: &Layout, queue: &mpsc::Sender<ImageBlob>) -> Result<()> {
    for entry in &layout.manifests {
        let manifest: ImageManifest = serde_json::from_slice(&layout.read(entry)?)?;
        for descriptor in manifest.layers().iter().chain([manifest.config()]) {
            let path = blob_path(&layout.dir, descriptor);
            // The queue is closed only if an upload has failed, in which case that error is reported instead of
            // `Cancelled`.
            queue.send(ImageBlob { image, descriptor: descriptor.clone(), path }).map_err(|_| Cancelled)?;
        }
    }
    Ok(())
}

/// Pushes a layout's manifests and then its index by digest. Skips any that the registry already has.
pub(crate) fn push_manifests(layout: &Layout, repository: &str, new: &NewBlobs, registry: &Registry) -> Result<()> {
    // Check every manifest even if the index exists: some registries delete manifests but keep the index.
    let are_new = parallel(&layout.manifests, |manifest| {
        let bytes = layout.read(manifest)?;
        let is_new = new.include_any_of(&serde_json::from_slice(&bytes)?, repository);
        push_manifest(manifest, &bytes, is_new, repository, registry)?;
        Ok(is_new)
    })?;
    if !layout.has_index() {
        return Ok(());
    }
    push_manifest(&layout.descriptor, &layout.read(&layout.descriptor)?, are_new.contains(&true), repository, registry)
}

/// Pushes a manifest or index by digest. Unless it is known to be new, first checks whether the registry has it.
fn push_manifest(
    manifest: &Descriptor,
    bytes: &[u8],
    is_new: bool,
    repository: &str,
    registry: &Registry,
) -> Result<()> {
    let reference = format!("{repository}@{}", manifest.digest());
    if !is_new && registry.find_pushed_manifest(&reference)?.is_complete(manifest.size()) {
        return Ok(());
    }
    registry.put_manifest(&reference, bytes, manifest)
}

/// An uploader that pushes each blob only once to each repository.
struct Uploader<'a> {
    images: &'a [Image],
    /// The repositories of each image's base images. Base layers can probably be mounted from them.
    base_repositories: Vec<BTreeSet<Repository>>,
    registry: &'a Registry,
    timings: &'a Timings,
    known: KnownRepositories,
    /// The blobs that were pushed or are being pushed.
    pushed: Mutex<BTreeSet<BlobInRepository>>,
    /// The blobs that were missing.
    new: Mutex<BTreeSet<BlobInRepository>>,
    /// Images with at least one missing layer, as index and repository.
    new_images: Mutex<BTreeSet<(usize, String)>>,
}

impl<'a> Uploader<'a> {
    fn new(images: &'a [Image], registry: &'a Registry, timings: &'a Timings) -> Result<Uploader<'a>> {
        let base_repositories = images.iter().map(base_repositories).collect::<Result<_, _>>()?;
        Ok(Uploader {
            images,
            base_repositories,
            registry,
            timings,
            known: KnownRepositories::default(),
            pushed: Mutex::default(),
            new: Mutex::default(),
            new_images: Mutex::default(),
        })
    }

    /// Pushes a blob to the repositories of its image.
    fn push(&self, blob: &ImageBlob) -> Result<()> {
        for repository in &self.images[blob.image].repositories {
            let is_first = lock(&self.pushed).insert(BlobInRepository::new(repository, &blob.descriptor));
            if is_first {
                self.push_to(repository, blob)?;
            }
        }
        Ok(())
    }

    fn push_to(&self, reference: &str, blob: &ImageBlob) -> Result<()> {
        let repository = Repository::parse(reference)?;
        let digest = blob.descriptor.digest().as_ref();
        let known = self.known.with_blob(&repository.host, digest);
        let mut known = lock(&known);
        let mut span = self.timings.span(Phase::Upload, reference);
        span.digest(digest);
        if self.is_stored(reference, blob)? {
            span.note("already in the registry");
        } else {
            lock(&self.new).insert(BlobInRepository::new(reference, &blob.descriptor));
            let bases = self.base_repositories[blob.image].iter();
            let bases = bases.filter(|base| base.host == repository.host).map(|base| &base.name);
            let mount_sources: Vec<String> =
                known.iter().chain(bases).filter(|name| **name != repository.name).cloned().collect();
            match self.registry.push_blob(reference, &mount_sources, &blob.descriptor, &blob.path)? {
                PushedBlob::Uploaded => span.bytes(blob.descriptor.size()),
                PushedBlob::Mounted => span.note("mounted from another repository"),
            }
        }
        known.push(repository.name);
        Ok(())
    }

    /// Reports whether a repository contains a blob. Does not look up the config of an image if one of its layers was
    /// missing: the config is small, and almost certainly missing too.
    fn is_stored(&self, repository: &str, blob: &ImageBlob) -> Result<bool> {
        let image = (blob.image, repository.to_owned());
        let is_config = *blob.descriptor.media_type() == MediaType::ImageConfig;
        if is_config && lock(&self.new_images).contains(&image) {
            return Ok(false);
        }
        let digest = blob.descriptor.digest().as_ref();
        let is_stored = self.registry.find_blob(repository, digest, Access::Push)?.is_complete(blob.descriptor.size());
        if !is_stored && !is_config {
            lock(&self.new_images).insert(image);
        }
        Ok(is_stored)
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct BlobInRepository {
    repository: String,
    digest: String,
}

impl BlobInRepository {
    fn new(repository: &str, blob: &Descriptor) -> BlobInRepository {
        BlobInRepository { repository: repository.to_owned(), digest: blob.digest().to_string() }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Repository {
    host: String,
    /// The repository as `host/name`, with the host and name as in a normalized image reference.
    name: String,
}

impl Repository {
    fn parse(reference: &str) -> Result<Repository, Failure> {
        Ok(Repository { host: registry_host(reference)?, name: repository_name(reference)? })
    }
}

fn base_repositories(image: &Image) -> Result<BTreeSet<Repository>, Failure> {
    let bases = image.platforms.iter().map(|platform| platform.base.as_str());
    bases.filter(|base| *base != "scratch").map(Repository::parse).collect()
}

/// The repositories that are known to contain each blob.
#[derive(Default)]
struct KnownRepositories(Mutex<BTreeMap<BlobOnHost, RepositoryNames>>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct BlobOnHost {
    host: String,
    digest: String,
}

type RepositoryNames = Arc<Mutex<Vec<String>>>;

impl KnownRepositories {
    /// Returns the repositories on a host that contain a blob. Keep the returned list locked while pushing the blob to
    /// another repository, so that concurrent pushes wait and then mount the blob instead of uploading it again.
    fn with_blob(&self, host: &str, digest: &str) -> RepositoryNames {
        let blob = BlobOnHost { host: host.to_owned(), digest: digest.to_owned() };
        lock(&self.0).entry(blob).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::*;
    use crate::oci::descriptor::descriptor;
    use crate::oci::digest::sha256;
    use crate::ui::Bars;

    fn upload(images: &[Image], blobs: mpsc::Receiver<ImageBlob>, cancel: &CancelToken) -> Result<()> {
        let registry = Registry::new(&[], cancel, &Bars::default())?;
        upload_blobs(images, blobs, &registry, &Timings::default(), cancel).map(drop)
    }

    #[test]
    fn uploads_finish_when_the_channel_closes() {
        let cancel = CancelToken::default();
        let (queue, blobs) = mpsc::channel();
        drop(queue);
        upload(&[], blobs, &cancel).unwrap();
        assert!(!cancel.is_cancelled());
    }

    #[test]
    fn uploads_stop_when_cancelled() {
        let cancel = CancelToken::default();
        cancel.cancel();
        let (queue, blobs) = mpsc::channel();
        let descriptor = descriptor("application/octet-stream", &sha256(b""), 0).unwrap();
        queue.send(ImageBlob { image: 0, descriptor, path: Utf8PathBuf::from("missing") }).unwrap();
        drop(queue);
        let error = upload(&[], blobs, &cancel).unwrap_err();
        assert!(Cancelled::caused(&error), "{error:?}");
    }
}
