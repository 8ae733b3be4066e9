//! One tag: what must hold before anything is built, and what the registry serves after it was pushed.
//! Knows plans; never flags, and never Docker.

mod auth;
pub mod registry;
pub mod upload;

use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Class, Failure};
use crate::image::Bases;
use crate::plan::Plan;
use crate::platform::Platform;
use crate::ui::Ui;
use registry::Registry;

/// A client for every registry of a plan.
pub fn connect(plan: &Plan) -> Result<Registry> {
    let bases = plan.images.iter().flat_map(|image| &image.platforms).map(|platform| platform.base.as_str());
    Registry::new(plan.images.iter().flat_map(|image| &image.repositories).map(String::as_str).chain(bases))
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

/// Pins every base to the digest that its tag has now, and checks that it has the platforms that are asked for.
pub fn resolve_bases(plan: &Plan, registry: &Registry, ui: &Ui) -> Result<Bases> {
    let mut wanted: BTreeMap<&str, BTreeSet<Platform>> = BTreeMap::new();
    for platform in plan.images.iter().flat_map(|image| &image.platforms) {
        if platform.base != "scratch" {
            wanted.entry(&platform.base).or_default().insert(platform.platform);
        }
    }
    let mut bases = Bases::new();
    for (base, platforms) in wanted {
        let served = registry.pull(base)?;
        let available = if served.is_index() {
            let index = served.index()?;
            index.manifests().iter().filter_map(|entry| platform_name(entry.platform().as_ref()?)).collect()
        } else {
            let config = registry.config(base, &served.manifest()?)?;
            vec![name(&config.os().to_string(), &config.architecture().to_string(), config.variant().as_deref())]
        };
        let available: BTreeSet<String> = available.into_iter().collect();
        for platform in &platforms {
            if !platform.runs().any(|runs| available.contains(runs.name())) {
                let has = available.iter().cloned().collect::<Vec<_>>().join(", ");
                return Err(Failure::new(Class::Config, format!("base {base} has no {platform}"))
                    .hint(format!("it has {has}"))
                    .hint(format!("take another base for it: [platform.\"{platform}\"] base = \"…\""))
                    .into());
            }
        }
        let pinned = match base.contains('@') {
            true => base.to_owned(),
            false => format!("{base}@{}", served.digest),
        };
        ui.status("Pinned", &pinned);
        bases.extend(platforms.into_iter().map(|platform| ((base.to_owned(), platform), pinned.clone())));
    }
    Ok(bases)
}

/// `os/architecture[/variant]` in the platform table's spelling; none for an attestation's `unknown/unknown`.
pub fn platform_name(platform: &oci_spec::image::Platform) -> Option<String> {
    let (os, architecture) = (platform.os().to_string(), platform.architecture().to_string());
    (os != "unknown").then(|| name(&os, &architecture, platform.variant().as_deref()))
}

/// The same from an image's config.
pub fn name(os: &str, architecture: &str, variant: Option<&str>) -> String {
    let written = match variant.filter(|variant| !variant.is_empty()) {
        Some(variant) => format!("{os}/{architecture}/{variant}"),
        None => format!("{os}/{architecture}"),
    };
    written.parse::<Platform>().map_or(written, |platform| platform.name().to_owned())
}
