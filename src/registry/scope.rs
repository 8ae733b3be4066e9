//! Token scopes: what a request needs access to.

use oci_spec::distribution::Reference;

/// What a request wants to do with its repository.
#[derive(Clone, Copy)]
pub enum Access<'a> {
    Pull,
    Push,
    /// Push, and take a blob over from this repository.
    Mount(&'a Reference),
}

impl Access<'_> {
    pub fn scopes(self, repository: &str) -> Vec<String> {
        let scope = |repository: &str, actions| format!("repository:{repository}:{actions}");
        match self {
            Access::Pull => vec![scope(repository, "pull")],
            Access::Push => vec![scope(repository, "pull,push")],
            Access::Mount(from) => vec![scope(repository, "pull,push"), scope(from.repository(), "pull")],
        }
    }
}
