//! Pulls base images, and checks what they and the configuration decide about the images. Both run while cargo is
//! compiling, so that no error that is already certain waits for it.

use anyhow::Result;

use super::findings;
use super::prepare::Prepared;
use crate::dockerfile::render;
use crate::dockerfile::run_order::may_run_binaries;
use crate::finding::Finding;
use crate::image::bases::{self, PulledBases};
use crate::image::build_context::StagedPlaceholders;
use crate::image::buildx::BuildxEngine;
use crate::image::embedded::{self, PreparedImage, StagedImage};
use crate::image::engine::Engine;
use crate::oci::cache::Cache;
use crate::plan::{BuildSettings, Image, Plan};
use crate::process;
use crate::registry::Registry;
use crate::threads::CancelToken;
use crate::ui::Ui;
use crate::verify::before_compiling;

/// The images that the embedded engine builds, and the pulled bases of all images.
pub(crate) struct CheckedImages<'a> {
    /// The images that the embedded engine builds, without those of buildx.
    pub embedded: Vec<PreparedImage<'a>>,
    pub bases: PulledBases,
}

/// Reports whether the bases of the images have to be pulled before they can be checked.
pub(crate) fn needs_bases(prepared: &Prepared) -> bool {
    let BasesToPull { required, optional } = bases_to_pull(prepared);
    bases::platforms_by_base(required.into_iter().chain(optional)).into_iter().next().is_some()
}

/// Pulls the bases, and checks the images of a plan. Fails if verification would report an error whatever the binaries
/// contain, such as a user that the base lacks.
pub(crate) fn check_images<'a>(
    plan: &Plan,
    prepared: &'a Prepared,
    registry: &Registry,
    ui: &Ui,
) -> Result<CheckedImages<'a>> {
    let epoch = plan.source_date_epoch;
    let bases = pull_bases(plan, prepared, registry, ui)?;
    let embedded = embedded::prepare(images_of(prepared, |engine| *engine == Engine::Embedded), &bases, epoch)?;
    let by_buildx = images_of(prepared, |engine| *engine != Engine::Embedded);
    let predictable =
        by_buildx.filter(|staged| prepared.is_predictable[staged.index] && has_bases(staged.image, &bases));
    // buildx reports errors in Dockerfiles itself.
    let by_buildx: Vec<_> =
        predictable.filter_map(|staged| embedded::prepare([staged], &bases, epoch).ok()).flatten().collect();
    let mut images: Vec<&PreparedImage<'_>> = embedded.iter().chain(&by_buildx).collect();
    images.sort_by_key(|image| image.index);
    check_before_compiling(&images, prepared, ui)?;
    Ok(CheckedImages { embedded, bases })
}

/// The images whose bases are pulled.
struct BasesToPull<'a> {
    /// Images that cannot be built without their bases.
    required: Vec<&'a Image>,
    /// Images that buildx builds, and whose bases are only needed to check them.
    optional: Vec<&'a Image>,
}

fn bases_to_pull(prepared: &Prepared) -> BasesToPull<'_> {
    let (mut required, mut optional) = (Vec::new(), Vec::new());
    for (index, (image, engine)) in prepared.images.iter().zip(&prepared.engines).enumerate() {
        if *engine == Engine::Embedded || image.platforms.iter().any(|platform| platform.copy_libraries) {
            required.push(image);
        } else if prepared.is_predictable[index] {
            optional.push(image);
        }
    }
    BasesToPull { required, optional }
}

fn pull_bases(plan: &Plan, prepared: &Prepared, registry: &Registry, ui: &Ui) -> Result<PulledBases> {
    let BasesToPull { required, optional } = bases_to_pull(prepared);
    let cache = Cache::new(&plan.paths.cache_dir);
    let mut pulled = bases::pull(&required, &prepared.bases, registry, &cache, ui)?;
    match bases::pull(&optional, &prepared.bases, registry, &cache, ui) {
        Ok(others) => pulled.extend(others),
        Err(error) if process::stopped_run(&error) => return Err(error),
        // buildx may support the base, and reports the error otherwise.
        Err(_) => {}
    }
    Ok(pulled)
}

/// Builds the images that are not known before a build, with placeholders for their binaries, and checks them like
/// [`check_images`]. A failed RUN instruction is an error, too. Runs while cargo is compiling.
pub(crate) fn check_trial_builds(plan: &Plan, prepared: &Prepared, cancel: &CancelToken, ui: &Ui) -> Result<()> {
    let cache = Cache::new(&plan.paths.cache_dir);
    let mut checked = Vec::new();
    for (index, ((image, staged), engine)) in
        prepared.images.iter().zip(&prepared.staged).zip(&prepared.engines).enumerate()
    {
        let Engine::Buildx(builder) = engine else { continue };
        // RUN instructions cannot run placeholders.
        if prepared.is_predictable[index]
            || !prepared.source.compiles()
            || may_run_binaries(&staged.dockerfile.text, &render::staged_binaries(image))
        {
            continue;
        }
        let buildx = BuildxEngine { builder, paths: &plan.paths, source_date_epoch: plan.source_date_epoch };
        let _placeholders = StagedPlaceholders::write(image, &staged.dir)?;
        let layout = buildx.build_trial(image, staged, cancel, ui)?;
        let loads_glibc = |build: &BuildSettings| prepared.source.loads_glibc(build);
        let errors = before_compiling::check_trial(image, &layout, &loads_glibc, &cache)?;
        fs_err::remove_dir_all(&layout.dir)?;
        checked.push(ImageErrors { name: &image.name, errors });
    }
    print_errors(&checked, ui)
}

fn has_bases(image: &Image, bases: &PulledBases) -> bool {
    image
        .platforms
        .iter()
        .all(|platform| platform.base == "scratch" || bases.contains_key(&(platform.base.clone(), platform.platform)))
}

fn images_of(prepared: &Prepared, is_engine: fn(&Engine) -> bool) -> impl Iterator<Item = StagedImage<'_>> {
    let images = prepared.images.iter().zip(&prepared.staged).zip(&prepared.engines).enumerate();
    images.filter(move |(_, (_, engine))| is_engine(engine)).map(|(index, ((image, staged), _))| StagedImage {
        index,
        image,
        staged,
    })
}

/// The errors found in an image.
struct ImageErrors<'a> {
    name: &'a str,
    errors: Vec<Finding>,
}

fn check_before_compiling(images: &[&PreparedImage<'_>], prepared: &Prepared, ui: &Ui) -> Result<()> {
    let mut checked = Vec::new();
    for PreparedImage { image, platforms, .. } in images {
        let mut errors = Vec::new();
        for platform in platforms {
            let loads_glibc = prepared.source.loads_glibc(&platform.build);
            errors.extend(before_compiling::check(image, platform, loads_glibc)?);
        }
        checked.push(ImageErrors { name: &image.name, errors });
    }
    print_errors(&checked, ui)
}

/// Prints the errors of all images. Fails if there are any.
fn print_errors(images: &[ImageErrors<'_>], ui: &Ui) -> Result<()> {
    let mut failed = None;
    for ImageErrors { name, errors } in images.iter().filter(|image| !image.errors.is_empty()) {
        // Print all failures but the last one, which the command returns.
        if let Some(earlier) = failed.take() {
            ui.error(&earlier);
        }
        failed = findings::print_and_check(name, errors.iter(), ui).err().map(anyhow::Error::from);
    }
    failed.map_or(Ok(()), Err)
}
