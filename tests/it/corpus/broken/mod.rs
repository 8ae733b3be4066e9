//! Broken images. The name of each case describes its defect.

pub mod health_checks;
pub mod libraries;
pub mod machines;
pub mod manifests;
pub mod permissions;
pub mod programs;

use crate::corpus::case::Case;

pub fn cases() -> Vec<Case> {
    let all = [
        machines::cases(),
        libraries::cases(),
        programs::cases(),
        health_checks::cases(),
        permissions::cases(),
        manifests::cases(),
    ];
    all.into_iter().flatten().collect()
}
