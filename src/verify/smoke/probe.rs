//! Detects how this machine can run images.

use anyhow::Result;

use super::SmokeHost;
use super::host::DockerDaemon;
use crate::host::{IS_LINUX, binfmt, isolation};
use crate::image::buildx::docker;
use crate::image::load;
use crate::plan::Image;
use crate::platform::Platform;
use crate::process::find_program;
use crate::ui::Ui;

/// Probes the machine if any image has a smoke run.
pub(crate) fn find_host(images: &[Image], ui: &Ui) -> Result<SmokeHost> {
    if images.iter().all(|image| image.smoke.is_none()) {
        return Ok(SmokeHost::default());
    }
    let docker = load::docker_platform(ui)?.map(|platform| DockerDaemon { platform, is_local: docker::is_local(ui) });
    let qemu = Platform::all().map(Platform::qemu_name);
    Ok(SmokeHost {
        platform: if IS_LINUX { newest_platform() } else { None },
        docker,
        emulated: Platform::all().filter(|platform| binfmt::is_emulated(*platform)).collect(),
        qemu: qemu.filter_map(|name| Some((name, find_program(&format!("qemu-{name}-static"))?))).collect(),
        isolation: isolation::find(ui)?,
    })
}

/// Returns the platform with the highest CPU level that this processor supports.
fn newest_platform() -> Option<Platform> {
    let triple = Platform::host_triple();
    Platform::for_triple(&triple).filter(|platform| platform.cpu_level().is_none_or(has_level)).last()
}

/// Reports whether the processor supports an x86-64 level (x86-64 psABI, "Micro-Architecture Levels").
#[cfg(target_arch = "x86_64")]
fn has_level(level: u8) -> bool {
    use std::is_x86_feature_detected as has;
    let two = has!("sse3") && has!("ssse3") && has!("sse4.1") && has!("sse4.2") && has!("popcnt");
    let three = two && has!("avx2") && has!("bmi1") && has!("bmi2") && has!("f16c") && has!("fma") && has!("lzcnt");
    match level {
        1 => true,
        2 => two,
        _ => three && has!("movbe"),
    }
}

/// Always returns true, because levels of other architectures cannot be detected.
#[cfg(not(target_arch = "x86_64"))]
fn has_level(_: u8) -> bool {
    true
}
