//! Images that are not right, each in the way that its name says.

pub mod documents;
pub mod libraries;
pub mod machines;
pub mod programs;
pub mod rights;

use crate::corpus::case::Case;

pub fn cases() -> Vec<Case> {
    let all = [machines::cases(), libraries::cases(), programs::cases(), rights::cases(), documents::cases()];
    all.into_iter().flatten().collect()
}
