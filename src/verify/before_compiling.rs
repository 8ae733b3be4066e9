//! Checks an image before its binaries are compiled.

use std::sync::Arc;

use anyhow::Result;
use oci_spec::image::ImageConfiguration;
use serde_json::json;

use super::check_platform;
use crate::elf::{Elf, NeededVersion, parse_version};
use crate::finding::Finding;
use crate::image::embedded::PreparedPlatform;
use crate::oci::health_check::health_check_command;
use crate::oci::rootfs::{ElfFile, FileContent, FsNode, RegularFile, RootFs};
use crate::plan::Image;

/// The first glibc version that every program linked against it or a newer version needs: `__libc_start_main` has a
/// new symbol version.
const NEW_START_SYMBOL: [u32; 2] = [2, 34];

/// Returns the errors that verifying the image will report for a platform, whatever the binaries contain.
/// `loads_glibc` states whether the binaries are certain to load glibc.
pub(crate) fn check(image: &Image, platform: &PreparedPlatform, loads_glibc: bool) -> Result<Vec<Finding>> {
    let root = with_expected_binaries(platform, loads_glibc);
    let config: ImageConfiguration = serde_json::from_value(json!({
        "os": "linux",
        "architecture": platform.platform.architecture(),
        "config": platform.config,
        "rootfs": { "type": "layers", "diff_ids": [] },
    }))?;
    let health_check = health_check_command(&platform.config);
    let checked = check_platform::check(&root, platform.platform, &config, &health_check, &image.policy);
    let mut findings = checked.findings;
    findings.retain(|finding| finding.is_error() && !image.policy.allow.contains(&finding.code));
    Ok(findings)
}

/// Returns the image's file system, with programs in place of the binaries that have not been compiled yet.
fn with_expected_binaries(platform: &PreparedPlatform, loads_glibc: bool) -> RootFs {
    let mut root = platform.rootfs.clone();
    let elf = expected_elf(platform, loads_glibc);
    let content = FileContent::Program(Arc::new(ElfFile { sha256: String::new(), elf: Some(elf) }));
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
fn expected_elf(platform: &PreparedPlatform, loads_glibc: bool) -> Elf {
    let mut elf = Elf { executable: true, ..Elf::with_identity(platform.platform.elf_identity()) };
    let Some(loader) = platform.platform.glibc_loader().filter(|_| loads_glibc) else { return elf };
    elf.interpreter = Some(loader.to_owned());
    elf.needed = vec!["libc.so.6".to_owned()];
    let floor = platform.build.glibc.as_deref().and_then(parse_version);
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
    use crate::plan::BuildSettings;

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
            let platform = PreparedPlatform {
                platform: "linux/amd64".parse().unwrap(),
                base: None,
                config: json!({}),
                layers: Vec::new(),
                build: BuildSettings { glibc: floor.map(str::to_owned), ..BuildSettings::default() },
                rootfs: RootFs::default(),
                binaries: Vec::new(),
                waiting: Vec::new(),
            };
            let elf = expected_elf(&platform, loads_glibc);
            let needed = elf.needed_versions.first().map(|needed| needed.version.as_str());
            assert_eq!(needed, expected, "{floor:?} {loads_glibc}");
            assert_eq!(elf.interpreter.is_some(), loads_glibc);
        }
    }
}
