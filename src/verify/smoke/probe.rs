//! Finds out, once, what is there to run images with.

use anyhow::Result;

use super::SmokeHost;
use super::chroot::is_possible;
use super::method::{Docker, Isolation};
use crate::image::buildx::{docker, qemu};
use crate::image::load;
use crate::plan::Plan;
use crate::platform::Platform;
use crate::process::find_program;
use crate::ui::Ui;

impl SmokeHost {
    /// Nothing is asked where no image is to be run.
    pub fn find(plan: &Plan, ui: &Ui) -> Result<SmokeHost> {
        if plan.images.iter().all(|image| image.smoke.is_none()) {
            return Ok(SmokeHost::default());
        }
        let linux = cfg!(target_os = "linux");
        let docker =
            load::docker_platform(ui)?.map(|platform| Docker { platform, is_here: linux && docker::is_local(ui) });
        let qemu = Platform::all().map(Platform::qemu_name);
        let mut entry = None;
        for possible in [Isolation::Namespaces, Isolation::ChangeRoot, Isolation::UserNamespace] {
            if linux && entry.is_none() && is_possible(possible, ui)? {
                entry = Some(possible);
            }
        }
        Ok(SmokeHost {
            host: host().filter(|_| linux),
            docker,
            handled: Platform::all().filter(|platform| qemu::is_emulated(*platform)).collect(),
            qemu: qemu.filter_map(|name| Some((name, find_program(&format!("qemu-{name}-static"))?))).collect(),
            entry,
        })
    }
}

/// The newest platform that this processor runs.
fn host() -> Option<Platform> {
    let triple = Platform::host_triple();
    Platform::for_triple(&triple).filter(|platform| platform.cpu_level().is_none_or(has_level)).last()
}

/// The instructions of an x86-64 level (x86-64 psABI, "Micro-Architecture Levels").
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

/// What this program was compiled for.
#[cfg(not(target_arch = "x86_64"))]
fn has_level(_: u8) -> bool {
    true
}
