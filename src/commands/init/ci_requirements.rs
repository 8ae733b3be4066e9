//! Detects what the jobs of a CI workflow need besides Rust: zig, Docker, QEMU, and a container with a certain Debian
//! release.

use std::slice;

use crate::config::choices::{EngineChoice, LinkerChoice};
use crate::dockerfile::pinned_bases::PinnedBases;
use crate::image::{self, engine::EngineRequest};
use crate::plan::{BuildSettings, Image, Plan};
use crate::platform::{Libc, Platform};

/// What the jobs of a workflow need.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CiRequirements {
    /// Whether jobs that compile need zig.
    pub zig: bool,
    /// The images that only buildx can build, or for which buildx is configured.
    pub buildx_images: Vec<String>,
    /// Whether jobs that build images need QEMU, to run programs for other architectures.
    pub qemu: bool,
    /// The container image for jobs that install Debian packages for the target.
    pub sysroot_container: Option<String>,
}

impl CiRequirements {
    /// Detects the requirements of the jobs that compile, build and publish the images of a plan. `compiles_c` tells
    /// whether a build script compiles C code.
    pub(crate) fn detect(plan: &Plan, is_native: bool, compiles_c: bool) -> CiRequirements {
        let mut requirements = CiRequirements {
            zig: plan
                .platforms()
                .any(|image_platform| needs_zig(image_platform.platform, &image_platform.build, is_native, compiles_c)),
            sysroot_container: sysroot_container(&plan.images),
            ..CiRequirements::default()
        };
        for image in &plan.images {
            let needs = dockerfile_needs(plan, image);
            if image.engine == EngineChoice::Buildx || needs.buildx {
                requirements.buildx_images.push(image.name.clone());
            }
            let platforms = image.platforms.iter().map(|platform| platform.platform);
            let emulated: Vec<Platform> = platforms.filter(|platform| !platform.is_native_to(AMD64)).collect();
            let runs = |platform: &Platform| image.smoke.is_some() || needs.run_platforms.contains(platform);
            requirements.qemu |= emulated.iter().any(runs);
        }
        requirements
    }

    /// Reports whether jobs that build images need Docker with buildx.
    pub(crate) fn needs_docker(&self) -> bool {
        !self.buildx_images.is_empty()
    }
}

/// What an image's Dockerfile needs.
#[derive(Default)]
struct DockerfileNeeds {
    buildx: bool,
    /// Platforms whose stage contains a RUN instruction.
    run_platforms: Vec<Platform>,
}

/// Detects what an image's Dockerfile needs. Ignores errors, which `plan` reports. The template may not exist yet, because
/// `init` writes all files at the end.
fn dockerfile_needs(plan: &Plan, image: &Image) -> DockerfileNeeds {
    let Ok(dockerfile) = image::render(image, &PinnedBases::default(), &plan.paths.root) else {
        return DockerfileNeeds::default();
    };
    let request = EngineRequest {
        options: &plan.engine,
        images: slice::from_ref(image),
        dockerfiles: slice::from_ref(&dockerfile),
        paths: &plan.paths,
        source_date_epoch: plan.source_date_epoch,
    };
    let buildx = matches!(request.needs_buildx(0), Ok(Some(_)));
    DockerfileNeeds { buildx, run_platforms: dockerfile.run_platforms }
}

/// The runners that build images are x86-64 machines.
const AMD64: &str = "x86_64-unknown-linux-gnu";
const ARM64: &str = "aarch64-unknown-linux-gnu";

/// Reports whether a job needs zig, either to compile C code or to link.
fn needs_zig(platform: Platform, build: &BuildSettings, is_native: bool, compiles_c: bool) -> bool {
    if let Some(linker) = build.linker {
        return linker == LinkerChoice::Zig;
    }
    if build.glibc.is_some() {
        return true;
    }
    if build.triple == platform.triple(Libc::Gnu) {
        let links_with_host_gcc = build.triple == AMD64 || (is_native && build.triple == ARM64);
        !links_with_host_gcc
    } else {
        compiles_c
    }
}

/// Debian releases for which Rust's official container image exists, with the version numbers of Debian and glibc.
const DEBIAN_RELEASES: [(&str, &str, (u32, u32)); 3] =
    [("trixie", "13", (2, 41)), ("bookworm", "12", (2, 36)), ("bullseye", "11", (2, 31))];

/// Returns the container image for jobs that install Debian packages. Libraries must be from the base image's Debian
/// release or, if the base is unknown, from a release that meets the configured glibc version.
fn sysroot_container(images: &[Image]) -> Option<String> {
    let mut platforms = images.iter().flat_map(|image| &image.platforms);
    let platform = platforms.find(|platform| !platform.build.sysroot_packages.is_empty())?;
    let release =
        release_of_base(&platform.base).or_else(|| platform.build.glibc.as_deref().map(newest_release_with_glibc));
    Some(match release {
        Some(release) => format!("rust:1-{release}"),
        None => "rust:1".to_owned(),
    })
}

/// Returns the Debian release of a base image, if its name or tag shows it, as in `debian:12-slim` or
/// `gcr.io/distroless/cc-debian12`.
fn release_of_base(base: &str) -> Option<&'static str> {
    let base = base.split('@').next().unwrap_or_default();
    let releases = DEBIAN_RELEASES.iter();
    let mut matching = releases.filter(|(name, number, _)| {
        base.split([':', '/', '-', '.']).any(|word| {
            let is_number = word == *number && base.contains("debian:");
            word == *name || word == format!("debian{number}") || is_number
        })
    });
    matching.next().map(|(name, ..)| *name)
}

/// Returns the newest Debian release whose glibc is not newer than `glibc`, or the oldest one if all are newer.
fn newest_release_with_glibc(glibc: &str) -> &'static str {
    let (major, minor) = glibc.split_once('.').unwrap_or((glibc, "0"));
    let wanted = (major.parse().unwrap_or(0), minor.parse().unwrap_or(0));
    let [.., (oldest, ..)] = DEBIAN_RELEASES;
    DEBIAN_RELEASES.iter().find(|(.., version)| *version <= wanted).map_or(oldest, |(name, ..)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zig_is_needed_for_c_code_and_cross_linking() {
        for (platform, libc, is_native, compiles_c, expected) in [
            ("linux/amd64", Libc::Musl, false, false, false),
            ("linux/amd64", Libc::Musl, true, true, true),
            ("linux/arm64", Libc::Musl, false, true, true),
            ("linux/amd64", Libc::Gnu, false, true, false),
            ("linux/arm64", Libc::Gnu, false, false, true),
            ("linux/arm64", Libc::Gnu, true, true, false),
            ("linux/riscv64", Libc::Gnu, true, false, true),
        ] {
            let platform: Platform = platform.parse().unwrap();
            let build = BuildSettings { triple: platform.triple(libc).to_owned(), ..BuildSettings::default() };
            assert_eq!(
                needs_zig(platform, &build, is_native, compiles_c),
                expected,
                "{} {is_native} {compiles_c}",
                build.triple
            );
        }
    }

    #[test]
    fn zig_is_needed_if_configured() {
        let platform: Platform = "linux/amd64".parse().unwrap();
        let triple = platform.triple(Libc::Gnu).to_owned();
        let with_glibc = BuildSettings { glibc: Some("2.28".to_owned()), triple, ..BuildSettings::default() };
        assert!(needs_zig(platform, &with_glibc, false, false));
        for (linker, expected) in [(LinkerChoice::Zig, true), (LinkerChoice::Gcc, false)] {
            let build = BuildSettings { linker: Some(linker), glibc: None, ..with_glibc.clone() };
            assert_eq!(needs_zig(platform, &build, false, true), expected, "{linker}");
        }
    }

    #[test]
    fn container_has_the_debian_release_of_the_base() {
        for (base, expected) in [
            ("debian:trixie-slim", Some("trixie")),
            ("debian:bookworm-20260101-slim", Some("bookworm")),
            ("debian:12-slim", Some("bookworm")),
            ("docker.io/library/debian:13.2", Some("trixie")),
            ("gcr.io/distroless/cc-debian12:nonroot", Some("bookworm")),
            ("debian@sha256:12", None),
            ("ubuntu:24.04", None),
            ("alpine:3.12", None),
            ("scratch", None),
        ] {
            assert_eq!(release_of_base(base), expected, "{base}");
        }
        for (glibc, expected) in [("2.41", "trixie"), ("2.40", "bookworm"), ("2.31", "bullseye"), ("2.17", "bullseye")]
        {
            assert_eq!(newest_release_with_glibc(glibc), expected, "{glibc}");
        }
    }
}
