//! To the registry: blobs, then manifests by digest, then the index by digest, and the tags last, after everything is
//! there (distribution-spec, "Pushing manifests"). Blobs are sent while others are still being made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use oci_spec::distribution::Reference;
use oci_spec::image::Descriptor;

use crate::oci::layout::{Layout, blob_path};
use crate::plan::Image;
use crate::registry::Access;
use crate::registry::Registry;
use crate::threads::{AT_A_TIME, lock, next, parallel};
use crate::timings::{Phase, Timings};

/// A blob on its way to some repositories.
struct UploadJob {
    blob: Descriptor,
    path: Utf8PathBuf,
    repositories: Vec<String>,
    /// Repositories that probably have it already: a base's.
    sources: Vec<String>,
}

/// The repositories that have a blob; locked while it is on its way.
type Repositories = Arc<Mutex<Vec<String>>>;

/// A queue of blobs, and what is known of where they are.
pub struct Uploads<'a> {
    registry: &'a Registry,
    timings: &'a Timings,
    jobs: Mutex<mpsc::Sender<UploadJob>>,
    queued: Mutex<BTreeSet<(String, String)>>,
    /// By host and digest.
    at: Mutex<BTreeMap<(String, String), Repositories>>,
    failed: Mutex<Option<anyhow::Error>>,
    /// What is still queued is of no use any more.
    given_up: AtomicBool,
}

/// Runs `work` while what it queues is uploaded, and waits for the rest.
pub fn with_uploads<T>(
    registry: &Registry,
    timings: &Timings,
    work: impl FnOnce(&Uploads<'_>) -> Result<T>,
) -> Result<T> {
    let (sender, receiver) = mpsc::channel();
    let receiver = Mutex::new(receiver);
    let uploads = Uploads {
        registry,
        timings,
        jobs: Mutex::new(sender),
        queued: Mutex::default(),
        at: Mutex::default(),
        failed: Mutex::default(),
        given_up: AtomicBool::new(false),
    };
    let worked = std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(job) = next(&receiver) {
                    if !uploads.given_up.load(Ordering::Relaxed)
                        && let Err(error) = uploads.send(&job)
                    {
                        lock(&uploads.failed).get_or_insert(error);
                        uploads.give_up();
                    }
                }
            });
        }
        let _ends = CloseOnDrop(&uploads);
        let worked = work(&uploads);
        if let Err(error) = worked {
            // Work that was given up for an upload has no reason of its own, and uploads that are given up neither.
            lock(&uploads.failed).get_or_insert(error);
            uploads.give_up();
            return None;
        }
        worked.ok()
    });
    match (worked, uploads.failed.into_inner().unwrap_or_else(PoisonError::into_inner)) {
        (_, Some(error)) => Err(error),
        (worked, None) => worked.context("nothing came of it"),
    }
}

/// CloseOnDrop the queue, and with it the threads; also after a panic, which would wait for them.
struct CloseOnDrop<'a>(&'a Uploads<'a>);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        *lock(&self.0.jobs) = mpsc::channel().0;
    }
}

impl Uploads<'_> {
    fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
        self.registry.give_up();
    }

    /// Queues a blob for every repository of an image, each once. Is there any use in more?
    pub fn blob(&self, image: &Image, blob: &Descriptor, path: &Utf8Path) -> bool {
        let digest = blob.digest().to_string();
        let mut queued = lock(&self.queued);
        let repositories: Vec<String> = image
            .repositories
            .iter()
            .filter(|repository| queued.insert(((*repository).clone(), digest.clone())))
            .cloned()
            .collect();
        let goes_on = !self.given_up.load(Ordering::Relaxed);
        if repositories.is_empty() {
            return goes_on;
        }
        let bases = image.platforms.iter().map(|platform| platform.base.as_str()).filter(|base| *base != "scratch");
        let sources = bases.map(repository_of).collect::<BTreeSet<_>>().into_iter().collect();
        // Without its threads the queue is of no use to anybody.
        let _ = lock(&self.jobs).send(UploadJob { blob: blob.clone(), path: path.to_owned(), repositories, sources });
        goes_on
    }

    /// Queues what a layout has and the repositories of its image may lack.
    pub fn layout(&self, image: &Image, layout: &Layout) -> Result<()> {
        for entry in layout.index.manifests() {
            let manifest: oci_spec::image::ImageManifest = serde_json::from_slice(&layout.read(entry)?)?;
            for blob in manifest.layers().iter().chain([manifest.config()]) {
                self.blob(image, blob, &blob_path(&layout.dir, blob));
            }
        }
        Ok(())
    }

    fn send(&self, job: &UploadJob) -> Result<()> {
        let digest = job.blob.digest().to_string();
        for repository in &job.repositories {
            let host = host_of(repository);
            let at = lock(&self.at).entry((host.clone(), digest.clone())).or_default().clone();
            let mut at = lock(&at);
            let mut span = self.timings.span(Phase::Upload, repository);
            span.digest(&digest);
            if self.registry.has_blob(repository, &digest, Access::Push)? {
                span.note("was there");
            } else {
                let near = |source: &&String| host_of(source) == host && *source != repository;
                let sources: Vec<String> = at.iter().chain(&job.sources).filter(near).cloned().collect();
                match self.registry.push_blob(repository, &sources, &job.blob, &job.path)? {
                    crate::registry::PushedBlob::Uploaded => span.bytes(job.blob.size()),
                    crate::registry::PushedBlob::Mounted => span.note("taken over from another repository"),
                }
            }
            drop(span);
            at.push(repository.clone());
        }
        Ok(())
    }
}

/// A base's name without tag and digest.
pub fn repository_of(base: &str) -> String {
    let name = base.split('@').next().unwrap_or(base);
    let tagged = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
    tagged.map_or(name, |(name, _)| name).to_owned()
}

fn host_of(repository: &str) -> String {
    repository
        .parse::<Reference>()
        .map_or_else(|_| repository.to_owned(), |reference| reference.resolve_registry().to_owned())
}

/// Stores the manifests of a layout and then its index, by digest, where they are not yet. No tag moves.
pub fn push_manifests(layout: &Layout, repository: &str, registry: &Registry) -> Result<()> {
    let put = |entry: &Descriptor| {
        let reference = format!("{repository}@{}", entry.digest());
        match registry.find_digest(&reference)? {
            Some(_) => Ok(()),
            None => registry.put_manifest(&reference, &layout.read(entry)?, entry),
        }
    };
    // A registry takes an index only when it has what the index lists, and may lose that while it keeps the index.
    let entries: Vec<&Descriptor> = layout.index.manifests().iter().collect();
    parallel(&entries, |entry| put(entry))?;
    put(&layout.descriptor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Bars;

    #[test]
    #[should_panic(expected = "a bug")]
    fn a_panic_is_not_waited_for() {
        let registry = Registry::new(&[], &Bars::default()).unwrap();
        let _ = with_uploads(&registry, &Timings::default(), |_| -> Result<()> { panic!("a bug") });
    }
}
