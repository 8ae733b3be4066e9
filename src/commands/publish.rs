//! `cargo multiarch publish`: compiles the binaries, builds, verifies and pushes the images, and then moves their tags.

use std::sync::mpsc;

use anyhow::Result;
use indexmap::IndexMap;

use super::build::build_without_push;
use super::build_images::{BuildOutput, BuildRun, BuiltImage, build_images};
use super::load_plan::{load_plan, lock_workspace};
use super::prepare::{LocalChecks, prepare};
use super::registry_access::RegistryAccess;
use super::report_output::{output_files, print_report};
use super::timings_page::TimingsPage;
use crate::cli::{AccessArgs, PublishArgs, ReadBack};
use crate::oci::digest::shorten_digest;
use crate::plan::{Image, Plan, PlanRequest, TagPermissions};
use crate::process;
use crate::publish::push_access::check_push_access;
use crate::publish::tag_burst::{self, TagContent};
use crate::publish::tag_decision::{ComparedVersions, TagDecision, TagImage};
use crate::publish::tags::{self, TagMove};
use crate::publish::upload::{self, NewBlobs};
use crate::registry::Registry;
use crate::report::{Report, TagOutcome};
use crate::threads::{self, CancelToken};
use crate::timings::Phase;
use crate::ui::Ui;
use crate::ui::text::plural;
use crate::verify::readback;

/// Runs `cargo multiarch publish`.
pub(crate) fn publish(args: &PublishArgs, ui: &Ui) -> Result<()> {
    let written_files = output_files(&args.reports, &[&args.refs_file, &args.digests_file])?;
    let request = args.destinations.add_to(PlanRequest { written_files, ..args.settings.request() });
    let request = args.tags.add_to(args.smoke.add_to(request));
    let plan = ui.timed(Phase::Prepare, "configuration", || load_plan(&args.settings, request))?;
    let timings_page = TimingsPage::prepare("publish", &plan, ui)?;
    let result = if args.push {
        push(&plan, &args.access, args.read_back, ui)
    } else {
        build_without_push(&plan, &args.access, ui)
    };
    if let Some(page) = timings_page {
        page.write(&result, ui);
    }
    let report = result?;
    report.write_files(args.refs_file.as_deref(), args.digests_file.as_deref())?;
    print_report(&report, args.output.message_format, &args.reports, ui)
}

/// Builds, verifies and pushes the images of a plan.
fn push(plan: &Plan, access: &AccessArgs, read_back: ReadBack, ui: &Ui) -> Result<Report> {
    let cancel = CancelToken::default();
    let access = RegistryAccess::open(plan, access.limit(), &cancel, ui)?;
    let registry = &access.registry;
    let preflight = LocalChecks::run(plan, ui)?;
    let _lock = lock_workspace(&plan.paths, ui)?;
    check_push_access(&plan.images, registry, ui)?;
    ui.timed(Phase::Prepare, "immutable tags", || check_immutable_tags(plan, registry))?;
    let prepared = prepare(plan, preflight, registry, ui)?;
    let images = &prepared.images;

    let (output, new_blobs) = threads::scope(&cancel, |stages| {
        let (blobs, queue) = mpsc::channel();
        let uploading = stages.spawn(|| upload::upload_blobs(images, queue, registry, ui.timings(), &cancel));
        let run = BuildRun { stages, registry, cancel: &cancel };
        let output = build_images(plan, &prepared, &run, &blobs, ui)?;
        for (index, (image, built)) in images.iter().zip(&output.images).enumerate() {
            image.repositories.iter().for_each(|repository| ui.status("Pushing", repository));
            upload::queue_layout(index, &built.layout, &blobs)?;
        }
        drop(blobs);
        Ok((output, uploading.join()?))
    })?;

    for (image, built) in images.iter().zip(&output.images) {
        push_manifests(image, built, &new_blobs, read_back, registry, ui)?;
    }
    let moved = move_tags(images, &output, plan.tag_permissions, registry, ui)?;
    for image in images {
        let platforms = plural(image.platforms.len(), "platform", "platforms");
        let checked = match read_back {
            ReadBack::Size => "stored layers have the right size",
            ReadBack::Full => "stored layers have the right digests",
        };
        ui.status("Published", format!("{} for {platforms}, verified; {checked}", image.name));
    }
    Ok(output.report(plan, &prepared, moved, false))
}

/// Fails if a version has already been published from another commit and must not be overwritten.
fn check_immutable_tags(plan: &Plan, registry: &Registry) -> Result<()> {
    if plan.tag_permissions.overwrite {
        return Ok(());
    }
    tags::find_other_revisions(&plan.images, registry)?.map_or(Ok(()), |failure| Err(failure.into()))
}

/// Pushes an image's manifests by digest, and verifies that the registries serve them. Does not move any tags.
fn push_manifests(
    image: &Image,
    built: &BuiltImage,
    new_blobs: &NewBlobs,
    read_back: ReadBack,
    registry: &Registry,
    ui: &Ui,
) -> Result<()> {
    for repository in &image.repositories {
        ui.timed(Phase::Publish, format_args!("manifests of {repository}"), || {
            upload::push_manifests(&built.layout, repository, new_blobs, registry)
        })?;
        ui.timed(Phase::Publish, format_args!("read back {repository}"), || {
            readback::check_pushed(image, repository, &built.verified.digests, read_back, registry)
        })?;
    }
    Ok(())
}

/// Returns the images that were built, in the form that decisions about their tags require.
fn new_images(images: &[Image], output: &BuildOutput) -> Vec<TagImage> {
    let mut new = Vec::new();
    for (image, built) in images.iter().zip(&output.images) {
        let digests = &built.verified.digests;
        new.push(tags::new_image(image, &digests.image, digests.platforms.values().cloned().collect()));
    }
    new
}

/// Moves the tags of all images, and checks that they have moved. Returns what happened to the tags of each image.
fn move_tags(
    images: &[Image],
    output: &BuildOutput,
    permissions: TagPermissions,
    registry: &Registry,
    ui: &Ui,
) -> Result<Vec<Vec<TagOutcome>>> {
    let new = new_images(images, output);
    let contents: Vec<TagContent> =
        output.images.iter().map(|built| TagContent::read(&built.layout)).collect::<Result<_>>()?;
    let moves = ui.timed(Phase::Publish, "look up tags", || tags::decide_moves(images, &new, permissions, registry))?;
    moves.iter().for_each(|tag_move| announce(tag_move, &images[tag_move.tag.image], ui));
    let mut outcomes = vec![Vec::new(); images.len()];
    for tag_move in &moves {
        let index = tag_move.tag.image;
        outcomes[index].push(TagOutcome::new(tag_move, &output.images[index].verified.digests.image));
    }
    // Between the first and the last write, the tags of a release point to a mix of old and new images.
    process::uninterrupted(
        || ui.note("finishing the tags (press Ctrl-C again to stop immediately)"),
        || {
            let tagging = ui.bars().elapsed("Tagging");
            ui.timed(Phase::Publish, "write tags", || tag_burst::write(&moves, &contents, registry))?;
            drop(tagging);
            tag_summary(&moves).into_iter().for_each(|(verb, tags)| ui.status(verb, tags));
            let published: Vec<(&str, &str)> = outcomes.iter().flatten().filter_map(TagOutcome::published).collect();
            ui.timed(Phase::Publish, "read back tags", || tag_burst::read_back(&published, registry))
        },
    )?;
    Ok(outcomes)
}

/// Returns status lines for the tags of each repository, such as `Tagged` with `ghcr.io/you/app: 1.2.3, latest (was
/// sha256:0123456789ab)`. Tags that stay at a higher version are left out, because notes name them.
fn tag_summary(moves: &[TagMove]) -> Vec<(&'static str, String)> {
    let mut lines: IndexMap<(usize, &str, &'static str), Vec<String>> = IndexMap::new();
    for TagMove { tag, existing, decision } in moves {
        let (repository, name) = tag.reference.rsplit_once(':').unwrap_or((&tag.reference, ""));
        let (verb, name) = match (decision, existing.target.image()) {
            (TagDecision::KeepHigherVersion(_), _) => continue,
            (TagDecision::Unchanged, _) => ("Unchanged", name.to_owned()),
            (TagDecision::Move, Some(existing)) => {
                ("Tagged", format!("{name} (was {})", shorten_digest(&existing.digest)))
            }
            (TagDecision::Create | TagDecision::Move, _) => ("Tagged", name.to_owned()),
        };
        lines.entry((tag.image, repository, verb)).or_default().push(name);
    }
    // Moves are in the order in which they were sent, which alternates between images.
    lines.sort_by(|(one, ..), _, (other, ..), _| one.cmp(other));
    lines
        .into_iter()
        .map(|((_, repository, verb), tags)| (verb, format!("{repository}: {}", tags.join(", "))))
        .collect()
}

/// Prints what users should know before a tag moves, such as platforms that the tag will no longer include.
fn announce(tag_move: &TagMove, image: &Image, ui: &Ui) {
    let reference = &tag_move.tag.reference;
    if let Some(problem) = &tag_move.existing.problem {
        ui.note(format!("cannot compare the new image with the one that {reference} points to: {problem}"));
    }
    let lost = tag_move.lost_platforms(image);
    if !lost.is_empty() {
        ui.warning(format!("{reference} will no longer include {}", lost.join(", ")));
    }
    if let TagDecision::KeepHigherVersion(ComparedVersions { published, new }) = &tag_move.decision {
        ui.note(format!("not moving {reference} from {published} down to {new} (pass `--allow-downgrade` to move it)"));
    }
}
