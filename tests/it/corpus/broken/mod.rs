//! Images that are not right, each in the way that its name says.

mod documents;
mod libraries;
mod machines;
mod programs;
mod rights;

use crate::corpus::case::Case;

pub fn cases() -> Vec<Case> {
    let all = [machines::cases(), libraries::cases(), programs::cases(), rights::cases(), documents::cases()];
    all.into_iter().flatten().collect()
}
