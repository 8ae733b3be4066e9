//! Who asks for a program, and what is said where it is not there. Pure.

use crate::finding::{Finding, INTERPRETER_MISSING, PROGRAM_NOT_FOUND};
use crate::oci::rootfs::{Node, Tree};

/// Who asks for a program: what is wrong where it is not there, and whether that is sure.
#[derive(Debug, Clone)]
pub enum Asker {
    /// The image's config.
    Config,
    /// A program that starts another, or a script that becomes one.
    File(String),
    /// The `#!` line of a script.
    Line(String),
    /// A script that may or may not become it.
    Perhaps,
}

impl Asker {
    /// The same, of what the file at a real path starts.
    pub fn through(&self, path: &str) -> Asker {
        match self {
            Asker::Perhaps => Asker::Perhaps,
            _ => Asker::File(format!("/{path}")),
        }
    }

    /// What a search came to that found no program at a path; nothing where nobody insists on it.
    pub fn misses(&self, path: &str, reason: &str) -> Option<Finding> {
        let finding = match self {
            Asker::Perhaps => return None,
            Asker::Config => PROGRAM_NOT_FOUND.finds(
                format!("{reason}, and is what the image would start"),
                "copy it there, or name what is there: entrypoint = [\"…\"]",
            ),
            Asker::File(by) => PROGRAM_NOT_FOUND.finds(
                format!("{reason}, and is what {by} would start"),
                "copy it there, or let it start what is there",
            ),
            Asker::Line(by) if path.ends_with('\r') => INTERPRETER_MISSING.finds(
                format!(
                    "is not in the image: the first line of {by} ends in a carriage return, which is part of the name"
                ),
                "end its lines as Unix does: `sed -i 's/\\r$//' FILE`",
            ),
            Asker::Line(by) => INTERPRETER_MISSING.finds(
                format!("{reason}, and is what the first line of {by} names"),
                "take a base that has it, or write the script for one that is there",
            ),
        };
        Some(finding.at(path.trim_end_matches('\r')))
    }
}

/// Why there is no file at a path.
pub fn why_not(tree: &Tree, path: &str) -> String {
    let target = match tree.at(path) {
        Some(Node::Link(target)) => Some(target),
        _ => None,
    };
    match (tree.resolve(path), target) {
        (Err(_), _) => "is a link without an end, or below a file".to_owned(),
        (Ok(real), _) if matches!(tree.get(&real), Some(Node::Dir(_))) || real.is_empty() => "is a folder".to_owned(),
        (Ok(real), _) if tree.get(&real).is_some() => "is a device or a pipe".to_owned(),
        (Ok(_), Some(target)) => format!("is a link to {target}, which is not in the image"),
        (Ok(_), None) => "is not in the image".to_owned(),
    }
}
