//! One tag: what must hold before anything is built, and the way of an image to its registries.
//! Knows plans; never flags, and never Docker.

mod answers;
mod auth;
pub mod bases;
mod cache;
mod calls;
pub mod registry;
mod token;
pub mod upload;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

use crate::error::{Class, Failure};
use crate::plan::Plan;
use crate::ui::Ui;
use registry::Registry;

/// Requests under way at a time.
const AT_A_TIME: usize = 4;

/// A client for every registry of a plan.
pub fn connect(plan: &Plan) -> Result<Registry> {
    let bases = plan.images.iter().flat_map(|image| &image.platforms).map(|platform| platform.base.as_str());
    let repositories = plan.images.iter().flat_map(|image| &image.repositories).map(String::as_str);
    Registry::new(repositories.chain(bases), &plan.insecure_registries)
}

/// Every repository must take a push: a refusal is better in the first second than after the build.
pub fn preflight(plan: &Plan, registry: &Registry, ui: &Ui) -> Result<()> {
    for image in &plan.images {
        if image.repositories.is_empty() {
            return Err(Failure::new(Class::Config, format!("image '{}': no registry to push to", image.name))
                .hint(
                    "say where: `--registry ghcr.io/you`, MULTIARCH_REGISTRY, or registry = \"…\" in the configuration",
                )
                .hint("or build without pushing: `cargo multiarch build`")
                .into());
        }
        for repository in &image.repositories {
            registry.check_push(repository)?;
            ui.status("Checked", format!("{repository} takes a push"));
        }
    }
    Ok(())
}

/// Does the same for every item, a few at a time, and returns what came of it in the items' order.
pub fn parallel<T: Sync, R: Send>(items: &[T], each: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<R>)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(items.len()) {
            scope.spawn(|| {
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(item) = items.get(index)
                {
                    let result = each(item);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
