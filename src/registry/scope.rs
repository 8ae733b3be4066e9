//! Token scopes for the access that a request needs.

use oci_spec::distribution::Reference;

/// The access to a repository that a request needs.
#[derive(Clone, Copy)]
pub(crate) enum Access<'a> {
    /// Only proof of the user's identity.
    Login,
    Pull,
    Push,
    /// Push access, and permission to mount a blob from this repository.
    Mount(&'a Reference),
}

impl Access<'_> {
    /// Returns the token scopes for a request to `repository` (distribution, "Token Scope Documentation").
    pub(crate) fn scopes(self, repository: &str) -> Vec<String> {
        let pull = |repository: &str| format!("repository:{repository}:pull");
        let push = |repository: &str| format!("repository:{repository}:pull,push");
        match self {
            Access::Login => Vec::new(),
            Access::Pull => vec![pull(repository)],
            Access::Push => vec![push(repository)],
            Access::Mount(source) => vec![push(repository), pull(source.repository())],
        }
    }
}
