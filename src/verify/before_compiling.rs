//! Checks an image before its binaries are compiled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use oci_spec::image::ImageConfiguration;
use serde_json::json;

use super::{VerifyOptions, check_platform, inspect};
use crate::elf::{Elf, NeededVersion, parse_version};
use crate::finding::Finding;
use crate::image::build_context;
use crate::image::embedded::PreparedPlatform;
use crate::oci::cache::Cache;
use crate::oci::health_check::health_check_command;
use crate::oci::layout::Layout;
use crate::oci::rootfs::{ElfFile, FileContent, FsNode, RegularFile, RootFs};
use crate::plan::{BuildSettings, Image, ImagePlatform};
use crate::platform::Platform;
use crate::threads;
use crate::timings::Timings;

/// The first glibc version that every program linked against it or a newer version needs: `__libc_start_main` has a
/// new symbol version.
const NEW_START_SYMBOL: [u32; 2] = [2, 34];

/// Returns the errors that verifying the image will report for a platform, whatever the binaries contain.
/// `loads_glibc` states whether the binaries are certain to load glibc.
pub(crate) fn check(image: &Image, platform: &PreparedPlatform, loads_glibc: bool) -> Result<Vec<Finding>> {
    let expected = expected_elf(platform.platform, &platform.build, loads_glibc);
    let root = with_expected_binaries(platform, expected);
    let config: ImageConfiguration = serde_json::from_value(json!({
        "os": "linux",
        "architecture": platform.platform.architecture(),
        "config": platform.config,
        "rootfs": { "type": "layers", "diff_ids": [] },
    }))?;
    let health_check = health_check_command(&platform.config);
    Ok(errors(image, &root, platform.platform, &config, &health_check))
}

/// Returns the errors that verifying the image will report, whatever the binaries contain. `layout` is the result of a
/// trial build. `loads_glibc` reports whether the binaries of a build are certain to load glibc.
pub(crate) fn check_trial(
    image: &Image,
    layout: &Layout,
    loads_glibc: &(dyn Fn(&BuildSettings) -> bool + Sync),
    cache: &Cache,
) -> Result<Vec<Finding>> {
    let found: Mutex<BTreeMap<Platform, Vec<Finding>>> = Mutex::default();
    let options = VerifyOptions::default();
    inspect::inspect_layout(layout, &image.name, &options, cache, &Timings::default(), &|platform, root, contents| {
        if let Some(planned) = image.platforms.iter().find(|planned| planned.platform == platform) {
            let root = replace_placeholders(root, planned, loads_glibc(&planned.build));
            let errors = errors(image, &root, platform, &contents.config, &contents.health_check);
            threads::lock(&found).insert(platform, errors);
        }
        Ok(())
    })?;
    Ok(threads::lock(&found).values().flatten().cloned().collect())
}

/// Returns the errors that the image's policy does not allow.
fn errors(
    image: &Image,
    root: &RootFs,
    platform: Platform,
    config: &ImageConfiguration,
    health_check: &[String],
) -> Vec<Finding> {
    let mut findings = check_platform::check(root, platform, config, health_check, &image.policy).findings;
    findings.retain(|finding| finding.is_error() && !image.policy.allow.contains(&finding.code));
    findings
}

/// Returns the file system of a trial build, with programs in place of the placeholders.
fn replace_placeholders(root: &RootFs, planned: &ImagePlatform, loads_glibc: bool) -> RootFs {
    let mut replaced = root.clone();
    let content = program(expected_elf(planned.platform, &planned.build, loads_glibc));
    for (path, node) in root.with_prefix("") {
        if let FsNode::File(file) = node
            && let FileContent::Program(program) = &file.content
            && build_context::is_placeholder(program)
        {
            replaced.insert(path, FsNode::File(RegularFile { content: content.clone(), ..file.clone() }));
        }
    }
    replaced
}

fn program(elf: Elf) -> FileContent {
    FileContent::Program(Arc::new(ElfFile { sha256: String::new(), elf: Some(elf) }))
}

/// Returns the image's file system, with programs in place of the binaries that have not been compiled yet.
fn with_expected_binaries(platform: &PreparedPlatform, expected: Elf) -> RootFs {
    let mut root = platform.rootfs.clone();
    let content = program(expected);
    for layer in &platform.layers {
        let Some(binary) = &layer.binary else { continue };
        // A later instruction may have replaced the binary.
        let is_placeholder = matches!(
            root.get(&binary.target),
            Some(FsNode::File(RegularFile { size: 0, content: FileContent::Other, .. }))
        );
        if let (true, Some(entry)) = (is_placeholder, layer.entries.get(&binary.target)) {
            let file = RegularFile {
                attributes: entry.attributes,
                size: 1,
                content: content.clone(),
                capabilities: entry.capabilities,
            };
            root.insert(&binary.target, FsNode::File(file));
        }
    }
    root
}

/// Returns the properties that every binary for a platform will have.
fn expected_elf(platform: Platform, build: &BuildSettings, loads_glibc: bool) -> Elf {
    let mut elf = Elf { executable: true, ..Elf::with_identity(platform.elf_identity()) };
    let Some(loader) = platform.glibc_loader().filter(|_| loads_glibc) else { return elf };
    elf.interpreter = Some(loader.to_owned());
    elf.needed = vec!["libc.so.6".to_owned()];
    let floor = build.glibc.as_deref().and_then(parse_version);
    if floor.is_some_and(|floor| floor.as_slice() >= NEW_START_SYMBOL.as_slice()) {
        let [major, minor] = NEW_START_SYMBOL;
        let version = format!("GLIBC_{major}.{minor}");
        elf.needed_versions = vec![NeededVersion { library: "libc.so.6".to_owned(), version, weak: false }];
    }
    elf
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_need_the_start_symbol_of_their_glibc_floor() {
        for (floor, loads_glibc, expected) in [
            (None, true, None),
            (Some("2.17"), true, None),
            (Some("2.33"), true, None),
            (Some("2.34"), true, Some("GLIBC_2.34")),
            (Some("2.41"), true, Some("GLIBC_2.34")),
            (Some("2.41"), false, None),
        ] {
            let build = BuildSettings { glibc: floor.map(str::to_owned), ..BuildSettings::default() };
            let elf = expected_elf("linux/amd64".parse().unwrap(), &build, loads_glibc);
            let needed = elf.needed_versions.first().map(|needed| needed.version.as_str());
            assert_eq!(needed, expected, "{floor:?} {loads_glibc}");
            assert_eq!(elf.interpreter.is_some(), loads_glibc);
        }
    }
}
