//! `cargo multiarch publish`: compiles the binaries, builds, verifies and pushes the images, and then moves their tags.

use std::sync::mpsc;

use anyhow::Result;

use super::build::build_without_push;
use super::build_images::{BuiltImage, build_images};
use super::load_plan::{load_plan, lock_workspace};
use super::prepare::{LocalChecks, prepare};
use super::report_output::{output_files, print_report};
use super::timings_page::TimingsPage;
use crate::cli::PublishArgs;
use crate::plan::{Image, Plan, PlanRequest};
use crate::publish::push_access::check_push_access;
use crate::publish::{tags, upload};
use crate::registry::Registry;
use crate::report::{Report, TagOutcome, shorten_digest};
use crate::threads::{self, CancelToken};
use crate::timings::Phase;
use crate::ui::Ui;
use crate::ui::text::plural;
use crate::verify::readback;

/// Runs `cargo multiarch publish`.
pub(crate) fn publish(args: &PublishArgs, ui: &Ui) -> Result<()> {
    let written_files = output_files(&args.reports, &[&args.refs_file, &args.digests_file])?;
    let request = args.destinations.add_to(PlanRequest { written_files, ..args.settings.request() });
    let request = args.smoke.add_to(request);
    let plan = ui.timed(Phase::Prepare, "configuration", || load_plan(&args.settings, request))?;
    let timings_page = TimingsPage::prepare("publish", &plan, ui)?;
    let result = if args.push { push(&plan, ui) } else { build_without_push(&plan, ui) };
    if let Some(page) = timings_page {
        page.write(&result, ui);
    }
    let report = result?;
    report.write_files(args.refs_file.as_deref(), args.digests_file.as_deref())?;
    print_report(&report, args.output.message_format, &args.reports, ui)
}

/// Builds, verifies and pushes the images of a plan.
fn push(plan: &Plan, ui: &Ui) -> Result<Report> {
    let cancel = CancelToken::default();
    let registry = Registry::new(&plan.engine.insecure_registries, &cancel, ui.bars())?;
    let preflight = LocalChecks::run(plan, ui)?;
    let _lock = lock_workspace(&plan.paths, ui)?;
    check_push_access(&plan.images, &registry, ui)?;
    let prepared = prepare(plan, preflight, &registry, ui)?;
    let images = &prepared.images;

    let output = threads::scope(&cancel, |stages| {
        let (blobs, queue) = mpsc::channel();
        let uploading = stages.spawn(|| upload::upload_blobs(images, queue, &registry, ui.timings(), &cancel));
        let output = build_images(plan, &prepared, stages, &blobs, &cancel, ui)?;
        for (index, (image, built)) in images.iter().zip(&output.images).enumerate() {
            image.repositories.iter().for_each(|repository| ui.status("Pushing", repository));
            upload::queue_layout(index, &built.layout, &blobs)?;
        }
        drop(blobs);
        uploading.join()?;
        Ok(output)
    })?;

    for (image, built) in images.iter().zip(&output.images) {
        push_manifests(image, built, &registry, ui)?;
    }
    let mut moved = Vec::new();
    for (image, built) in images.iter().zip(&output.images) {
        moved.push(move_tags(image, built, &registry, ui)?);
    }
    for (image, built) in images.iter().zip(&output.images) {
        check_tags(image, built, &registry, ui)?;
    }
    Ok(output.report(plan, &prepared, moved, false))
}

/// Pushes an image's manifests by digest, and verifies that the registries serve them. Does not move any tags.
fn push_manifests(image: &Image, built: &BuiltImage, registry: &Registry, ui: &Ui) -> Result<()> {
    for repository in &image.repositories {
        ui.timed(Phase::Publish, format_args!("manifests of {repository}"), || {
            upload::push_manifests(&built.layout, repository, registry)
        })?;
        ui.timed(Phase::Publish, format_args!("read back {repository}"), || {
            readback::check_pushed(image, repository, &built.verified.digests, registry)
        })?;
    }
    Ok(())
}

/// Moves an image's tags, and warns about platforms that a tag will no longer include.
fn move_tags(image: &Image, built: &BuiltImage, registry: &Registry, ui: &Ui) -> Result<Vec<TagOutcome>> {
    let image_digest = &built.verified.digests.image;
    let mut moved = Vec::new();
    let tags =
        ui.timed(Phase::Publish, format_args!("tags of {}", image.name), || tags::look_up_tags(image, registry))?;
    for tag in tags {
        let _tagging = ui.timings().span(Phase::Publish, format_args!("tag {}", tag.reference));
        let lost = tags::lost_platforms(image, &tag, image_digest, registry)?;
        if !lost.is_empty() {
            ui.warning(format!("{} will no longer include {}", tag.reference, lost.join(", ")));
        }
        let replaced = tag.replaced_digest(image_digest).map(|digest| format!(" (was {})", shorten_digest(digest)));
        ui.status("Tagging", format!("{}{}", tag.reference, replaced.unwrap_or_default()));
        tags::move_tag(&tag, &built.layout, registry)?;
        moved.push(TagOutcome { reference: tag.reference, from: tag.current, to: image_digest.clone() });
    }
    Ok(moved)
}

/// Checks that each of an image's tags points to the digest that was pushed.
fn check_tags(image: &Image, built: &BuiltImage, registry: &Registry, ui: &Ui) -> Result<()> {
    for repository in &image.repositories {
        let _reading = ui.timings().span(Phase::Publish, format_args!("read back the tags of {repository}"));
        readback::check_tags(image, repository, &built.verified.digests.image, registry)?;
    }
    let platforms = plural(image.platforms.len(), "platform", "platforms");
    ui.status("Published", format!("{} for {platforms}, verified", image.name));
    Ok(())
}
